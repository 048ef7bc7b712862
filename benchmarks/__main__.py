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
from benchmarks.machine import describe_machine
from benchmarks.measuring import run_in_process
from benchmarks.plot import draw
from benchmarks.report import MICROGRADX, all_cases, format_report, write_page
from benchmarks.workloads import WORKLOADS


def make_parser() -> argparse.ArgumentParser:
    about = "\n".join(
        textwrap.fill(each.about, 92, initial_indent=f"  {key:<4} ", subsequent_indent=7 * " ")
        for key, each in WORKLOADS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The speed of microgradx, of hand-written NumPy and of other libraries.",
        epilog=f"""workloads:
{about}

Each workload runs in its own process, all implementations in turns, on one thread unless it says
otherwise. The outputs of each implementation are first compared with hand-written NumPy; it is not
timed if they differ. Libraries that are not installed are left out.
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="W1 ...", help="which workloads to run (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first impression")
    parser.add_argument(
        "--only",
        metavar="LIBRARIES",
        default="",
        help=f"libraries to run, separated by commas: {', '.join(LIBRARIES)} (W5, W7: all)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench"),
        help="the directory for results.json, report.md and benchmarks.png (default: %(default)s)",
    )
    parser.add_argument(
        "--page", type=Path, help="a page to write the tables into, with the picture in images/"
    )
    parser.add_argument(
        "--results", type=Path, help="show the results.json of an earlier run instead of measuring"
    )
    return parser


def check_words(words: list[str], known: Any, kind: str) -> list[str]:
    unknown = [word for word in words if word not in known]
    if unknown:
        make_parser().error(f"there is no {kind} {unknown[0]}; there are {', '.join(known)}")
    return words


def measure_workloads(keys: list[str], *, quick: bool, only: list[str]) -> dict[str, Any]:
    workloads: dict[str, Any] = {}
    for key in keys:
        start = time.perf_counter()
        print(f"{key}: {WORKLOADS[key].about} ...", file=sys.stderr, flush=True)
        workloads[key] = [
            run_in_process(key, threads, quick=quick, only=only)
            for threads in WORKLOADS[key].threads
        ]
        print(f"{key}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return {"machine": describe_machine(), "quick": quick, "workloads": workloads}


def main() -> int:
    arguments = make_parser().parse_args()
    keys = check_words(arguments.workloads, WORKLOADS, "workload") or list(WORKLOADS)
    only = check_words([each for each in arguments.only.split(",") if each], LIBRARIES, "library")
    if arguments.results:
        results = json.loads(arguments.results.read_text(encoding="utf-8"))
    else:
        results = measure_workloads(keys, quick=arguments.quick, only=only)
    cases = all_cases(results)
    text = format_report(results)
    print(text)

    arguments.out.mkdir(parents=True, exist_ok=True)
    picture = arguments.out / "benchmarks.png"
    drawn = draw(cases, picture)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (arguments.out / "report.md").write_text(
        format_report(results, picture.name if drawn else None) + "\n", encoding="utf-8"
    )
    print(f"\nwritten to {arguments.out}", file=sys.stderr)
    if arguments.page:
        beside = arguments.page.parent / "images" / picture.name
        if drawn:
            beside.parent.mkdir(exist_ok=True)
            beside.write_bytes(picture.read_bytes())
        write_page(
            arguments.page, format_report(results, f"images/{picture.name}" if drawn else None)
        )
        print(f"and into {arguments.page}", file=sys.stderr)

    failed = {key for key, found in results["workloads"].items() if any(r["failed"] for r in found)}
    for case, measurements in cases.items():
        failed |= {
            f"{one.name} ({case})"
            for one in measurements
            if one.failed and one.name.startswith(MICROGRADX)
        }
    for each in sorted(failed):
        print(f"!!! failed: {each}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
