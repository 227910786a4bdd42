"""Random datasets, files and command lines against what they must give: faults per case.

Case n of seed s is always the same. A fault prints the line that repeats it, and its folder is
kept. Cases run in a process of their own, one after another, so that a crash or a hang ends one
case and not the run. Kinds: folder, table, array, bundle, line (`fuzz_parts/cases.py`).
"""

import argparse
import faulthandler
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_parts.cases import KINDS, kind_of, run
from harness import parser, report

CASE_SECONDS = 600
"""Time after which a case that no signal ends is ended with its process."""

MEMORY = 8 * 2**30
"""Bytes that a case may allocate."""

_NEW_PROCESS = 500
"""Cases of one process."""


@dataclass(frozen=True)
class Finding:
    """A fault of a case."""

    case: int
    fault: str


def main() -> None:
    args = _arguments()
    if args.worker:
        _work(args)
        return
    keep = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    begun, counts, findings = time.monotonic(), Counter[str](), []
    for event in _events(args, keep, begun + 60 * args.minutes):
        if isinstance(event, Finding):
            findings.append(event)
            _print_finding(args.seed, event, keep)
        else:
            counts[kind_of(event)] += 1
    faulty = {finding.case for finding in findings}
    cases = counts.total()
    report(
        {
            "cases": cases,
            **{f"cases_{kind}": counts[kind] for kind in KINDS},
            "faulty_cases": len(faulty),
            "minutes": (time.monotonic() - begun) / 60,
            "ratio": (cases - len(faulty)) / max(1, cases),
        },
        seed=args.seed,
        save=args.save,
    )
    sys.exit(1 if findings else 0)


def _arguments() -> argparse.Namespace:
    options = parser()
    options.add_argument("--minutes", type=float, default=30, help="time of the whole run")
    options.add_argument("--seed", type=int, default=0, help="seed of the cases")
    options.add_argument("--case", type=int, help="run this case alone")
    options.add_argument("--kind", choices=tuple(KINDS), help="run the cases of one kind alone")
    options.add_argument("--first", type=int, default=0, help="number of the first case")
    options.add_argument("--keep", type=Path, help="folder for the folders of cases with faults")
    options.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def _print_finding(seed: int, finding: Finding, keep: Path) -> None:
    place = keep / f"{kind_of(finding.case)}-{seed}-{finding.case}"
    shown = finding.fault.encode(errors="backslashreplace").decode()
    print(
        f"FAULT in {place}: {shown!r}\n  make bench NAME=fuzz SEED={seed} CASE={finding.case}",
        flush=True,
    )


def numbers(first: int, kind: str | None, alone: int | None) -> Iterator[int]:
    """Yield the numbers of the cases to run."""
    if alone is not None:
        yield alone
        return
    step = len(KINDS) if kind else 1
    start = first
    while kind and kind_of(start) != kind:
        start += 1
    while True:
        yield start
        start += step


def _events(args: argparse.Namespace, keep: Path, end: float) -> Iterator[int | Finding]:
    """Yield the number of each finished case, and each fault before it."""
    first = args.first
    while (left := end - time.monotonic()) > 0:
        last = None
        for record in _records(args, keep, first, left):
            last = record["case"]
            if "faults" in record:
                yield from (Finding(last, fault) for fault in record["faults"])
                yield last
            if "died" in record:
                yield Finding(last, record["died"])
                yield last
        if args.case is not None or last is None:
            return
        first = last + 1


def _records(
    args: argparse.Namespace, keep: Path, first: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the lines of one process; the last one may say that it died in a case."""
    line = [sys.executable, __file__, "--worker", f"--seed={args.seed}", f"--first={first}"]
    line += [f"--minutes={seconds / 60}", f"--keep={keep}"]
    line += [f"--case={args.case}"] if args.case is not None else []
    line += [f"--kind={args.kind}"] if args.kind else []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=err, text=True, env=environment
        )
        current = None
        with process:
            for text in process.stdout or ():
                record = json.loads(text)
                current = None if "faults" in record else record["case"]
                yield record
        err.seek(0)
        if process.returncode and current is None:
            sys.exit(f"{shlex.join(line)} ended with {process.returncode}: {err.read()[-2000:]}")
        if process.returncode:
            died = f"the process ended with {process.returncode}: {err.read()[-2000:]}"
            yield {"case": current, "died": died}


def _work(args: argparse.Namespace) -> None:
    """Run cases until the time is over; print a line before and after each."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    end = time.monotonic() + 60 * args.minutes
    for done, number in enumerate(numbers(args.first, args.kind, args.case)):
        if time.monotonic() > end or done >= _NEW_PROCESS:
            return
        print(json.dumps({"case": number}), flush=True)
        faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
        faults = run(args.seed, number, args.keep)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"case": number, "faults": faults}), flush=True)


if __name__ == "__main__":
    main()
