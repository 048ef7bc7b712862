"""The command `python -m benchmarks`: measures, prints tables, writes files."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import LIBRARIES
from benchmarks.machine import described
from benchmarks.measuring import in_process
from benchmarks.plot import draw
from benchmarks.report import OURS, all_cases, report, write_page
from benchmarks.workloads import WORKLOADS


def parser() -> argparse.ArgumentParser:
    about = "\n".join(
        textwrap.fill(each.about, 92, initial_indent=f"  {key:<4} ", subsequent_indent=7 * " ")
        for key, each in WORKLOADS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast microgradx is, beside hand-written NumPy and its peers.",
        epilog=f"""workloads:
{about}

Each runs in a process of its own, all implementations in turns, on one thread unless the
workload says otherwise. Each is first compared with hand-written NumPy, and not timed if it
disagrees. Peers that are not installed are left out.
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="W1 ...", help="which; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: a first impression")
    parser.add_argument(
        "--only",
        metavar="LIBRARIES",
        default="",
        help=f"run some only, separated by commas: {', '.join(LIBRARIES)} (W5 and W7 run all)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench"),
        help="folder for results.json, report.md and benchmarks.png (%(default)s)",
    )
    parser.add_argument(
        "--page", type=Path, help="a page to put the tables into, and the picture beside"
    )
    parser.add_argument(
        "--results", type=Path, help="show a results.json of an earlier run, and measure nothing"
    )
    return parser


def chosen(words: list[str], possible: Any, what: str) -> list[str]:
    unknown = [word for word in words if word not in possible]
    if unknown:
        parser().error(f"there is no {what} {unknown[0]}; there are {', '.join(possible)}")
    return words


def measured(keys: list[str], *, quick: bool, only: list[str]) -> dict[str, Any]:
    workloads: dict[str, Any] = {}
    for key in keys:
        start = time.perf_counter()
        print(f"{key}: {WORKLOADS[key].about} ...", file=sys.stderr, flush=True)
        workloads[key] = [
            in_process(key, threads, quick=quick, only=only) for threads in WORKLOADS[key].threads
        ]
        print(f"{key}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return {"machine": described(), "quick": quick, "workloads": workloads}


def main() -> int:
    arguments = parser().parse_args()
    keys = chosen(arguments.workloads, WORKLOADS, "workload") or list(WORKLOADS)
    only = chosen([each for each in arguments.only.split(",") if each], LIBRARIES, "library")
    if arguments.results:
        results = json.loads(arguments.results.read_text(encoding="utf-8"))
    else:
        results = measured(keys, quick=arguments.quick, only=only)
    cases = all_cases(results)
    text = report(results)
    print(text)

    arguments.out.mkdir(parents=True, exist_ok=True)
    picture = arguments.out / "benchmarks.png"
    drawn = draw(cases, picture)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (arguments.out / "report.md").write_text(
        report(results, picture.name if drawn else None) + "\n", encoding="utf-8"
    )
    print(f"\nwritten to {arguments.out}", file=sys.stderr)
    if arguments.page:
        beside = arguments.page.parent / "images" / picture.name
        if drawn:
            beside.parent.mkdir(exist_ok=True)
            beside.write_bytes(picture.read_bytes())
        write_page(arguments.page, report(results, f"images/{picture.name}" if drawn else None))
        print(f"and into {arguments.page}", file=sys.stderr)

    failed = {key for key, found in results["workloads"].items() if any(r["failed"] for r in found)}
    for case, measurements in cases.items():
        failed |= {
            f"{one.name} ({case})"
            for one in measurements
            if one.failed and one.name.startswith(OURS)
        }
    for each in sorted(failed):
        print(f"!!! failed: {each}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
