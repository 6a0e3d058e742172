"""The recipes of our images (Dockerfiles), read for tests; no container engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe says, as far as it can be read without running it.

    Attributes:
        path: the file.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(DEPLOY))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def instructions(self) -> list[tuple[str, str]]:
        """Instruction and argument, in order, continued lines joined."""
        lines = [line for line in self.text.splitlines() if not line.startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ")
        words = [line.partition(" ") for line in joined.splitlines() if line.strip()]
        return [(word.upper(), rest.strip()) for word, _, rest in words]

    def arguments(self, word: str) -> list[str]:
        """Of every instruction of that name."""
        return [argument for name, argument in self.instructions if name == word]

    def last(self, word: str) -> str:
        """The argument that counts where later instructions replace earlier ones."""
        return self.arguments(word)[-1]

    @property
    def defaults(self) -> dict[str, str]:
        """What each ARG is unless the build says otherwise."""
        return dict(argument.split("=", 1) for argument in self.arguments("ARG"))

    @property
    def bases(self) -> list[str]:
        """The images that it builds on, defaults filled in."""
        filled = [
            re.sub(r"\$\{(\w+)\}", lambda match: self.defaults[match[1]], argument)
            for argument in self.arguments("FROM")
        ]
        return [argument.split()[0] for argument in filled]

    @property
    def copied(self) -> list[str]:
        """What it takes from the folder that it is built in."""
        return [
            source.rstrip("/")
            for argument in self.arguments("COPY")
            if not argument.startswith("--from=")
            for source in argument.split()[:-1]
        ]

    @property
    def installing(self) -> str:
        """The one RUN that lists what others wrote, and installs it."""
        (found,) = (run for run in self.arguments("RUN") if "requirements.txt" in run)
        return found


SERVE = Recipe(DEPLOY / "Dockerfile")
WITH_MODEL = Recipe(DEPLOY / "serve" / "model.Dockerfile")
REFINE = Recipe(DEPLOY / "refine" / "Dockerfile")
SPARK = Recipe(DEPLOY / "spark" / "Dockerfile")

ALL = [Recipe(path) for path in sorted(DEPLOY.rglob("*Dockerfile"))]
# Built from the repository's root; the other one adds a file to such an image.
WHOLE = [recipe for recipe in ALL if recipe != WITH_MODEL]


def let_through(path: str) -> bool:
    """Whether `.dockerignore` hands this path to the build: its last matching line decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        folders = [str(Path(*Path(path).parts[:count])) for count in range(1, path.count("/") + 2)]
        if any(fnmatch(part, pattern.removeprefix("**/")) for part in folders) or (
            pattern.startswith("**/")
            and any(fnmatch(part, pattern[3:]) for part in Path(path).parts)
        ):
            ignored = not line.startswith("!")
    return not ignored


def with_our_programs() -> dict[str, str]:
    """The environment, with what lies beside this Python found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def list_requirements(recipe: Recipe, folder: Path) -> list[str]:
    """What the recipe lists to be installed: its own command, run as it is in this folder."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    command = recipe.installing.split("&&")[0]
    subprocess.run(["sh", "-c", command], cwd=folder, env=with_our_programs(), check=True)
    return (folder / "requirements.txt").read_text().splitlines()


def project() -> dict[str, Any]:
    """The table of that name in `pyproject.toml`."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found
