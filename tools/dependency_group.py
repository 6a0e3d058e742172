"""Print the requirements of dependency groups, one a line, for a pip that cannot read them.

    pip install $(python tools/dependency_group.py dev torch)

pip installs groups itself (`--group`) only since 25.1; Python 3.11 may bring an older one.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print the requirements of the groups named on the command line."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    for group in sys.argv[1:]:
        print("\n".join(project["dependency-groups"][group]))


if __name__ == "__main__":
    main()
