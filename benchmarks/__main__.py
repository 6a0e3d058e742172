"""Run the benchmarks: `python -m benchmarks [NAME…]`.

Each writes `benchmarks/results/NAME.json`; `docs/benchmarks.md` is then made from all of those and
`benchmarks/notes.md`.
Exits with 1 where a promise is not kept.
"""

from __future__ import annotations

import json
import sys

from benchmarks import (
    accuracy,
    aerial_chain,
    aerial_speed,
    backbones,
    gpu,
    history,
    int8,
    race,
    refine,
    scale,
    serve,
    serve_storm,
    spark_race,
    spark_scale,
    speed,
    start,
    tune,
)
from benchmarks.common import DATA, RESULTS, ROOT, Bar, machine

BENCHMARKS = {
    "speed": speed.main,
    "start": start.main,
    "accuracy": accuracy.main,
    "scale": scale.main,
    "backbones": backbones.main,
    **refine.BENCHMARKS,
    "gpu": gpu.main,
    "race": race.main,
    "history": history.main,
    "tune": tune.main,
    "serve": serve.main,
    "serve_storm": serve_storm.main,
    "int8": int8.main,
    "spark": spark_race.main,
    "spark_scale": spark_scale.main,
    "aerial": aerial_chain.main,
    "aerial_speed": aerial_speed.main,
}


def main(names: list[str]) -> int:
    """Run some or all benchmarks."""
    if not DATA.is_dir():
        print("The benchmarks need the data sets in ../shared/data.", file=sys.stderr)
        return 1
    RESULTS.mkdir(exist_ok=True)
    missed = 0
    for name in names or list(BENCHMARKS):
        print(f"── {name}", flush=True)
        result = BENCHMARKS[name]()
        if result is None:  # what it measures is not here, and it said so
            continue
        found = {"machine": machine(), **result.to_json()}
        (RESULTS / f"{name}.json").write_text(
            json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        )
        for bar in result.bars:
            missed += not bar.met
            print(
                f"{'ok    ' if bar.met else 'MISSED'}  {bar.name}: {bar.shown} "
                f"(promised {bar.promise})",
                flush=True,
            )
    (ROOT / "docs" / "benchmarks.md").write_text(page())
    return 1 if missed else 0


def page() -> str:
    """`docs/benchmarks.md` from the results that are there."""
    found = {p.stem: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))}
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` from `benchmarks/results/*.json`. Every figure was measured, with",
        "the competitor in the same run where there is one. Times move with the machine: trust",
        "the ratios.",
    ]
    for name in BENCHMARKS:
        if name not in found:
            continue
        result = found[name]
        on = result["machine"]
        lines += ["", f"## {result['title']}", ""]
        lines += [
            f"Machine: {on['cpu']}, {on['cores']} cores, {on['memory_gib']} GiB, "
            f"{', '.join(on['instructions'])}.",
            "",
        ]
        lines += [line for remark in result["remarks"] for line in (remark, "")]
        lines += ["| measure | measured | promised | |", "|---|---|---|---|"]
        for fields in result["bars"]:
            bar = Bar(**{key: value for key, value in fields.items() if key != "met"})
            lines.append(
                f"| {bar.name} | {bar.shown} | {bar.promise} | "
                f"{'met' if bar.met else '**missed**'} |"
            )
        if result["table"]:
            header, *rows = result["table"]
            lines += ["", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
    notes = (ROOT / "benchmarks" / "notes.md").read_text()
    return "\n".join(lines) + "\n\n" + notes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
