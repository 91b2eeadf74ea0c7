"""``python -m benchmarks``: measures mealkit against its budgets and against its peers.

Everything is a ratio within one run, of medians of runs that took turns. A topic whose tools are
missing is reported as not measured; the others go on.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Table, markdown
from benchmarks.lab import Lab
from benchmarks.machine import describe, load_average
from benchmarks.measured import CannotMeasureError
from benchmarks.report import show, write_section
from benchmarks.topics.archives import archives
from benchmarks.topics.builds import first_builds, rebuilds
from benchmarks.topics.chat import chats
from benchmarks.topics.cold import colds
from benchmarks.topics.commands import commands
from benchmarks.topics.contracts import contracts
from benchmarks.topics.edits import edits
from benchmarks.topics.engine_layers import engine_layers
from benchmarks.topics.first_hour import first_hours
from benchmarks.topics.fit import fits
from benchmarks.topics.fleet import fleets
from benchmarks.topics.preflight import preflights
from benchmarks.topics.pushes import pushes
from benchmarks.topics.records import records
from benchmarks.topics.requests import requests
from benchmarks.topics.signatures import signatures
from benchmarks.topics.starts import starts
from benchmarks.topics.tests import tests
from benchmarks.topics.throughput import throughputs
from benchmarks.topics.transfers import transfers
from benchmarks.topics.upgrade import upgrades

Topic = Callable[[Lab], Iterator[Table]]

TOPICS: Mapping[str, Topic] = {
    "help": commands,
    "preflight": preflights,
    "fit": fits,
    "build": first_builds,
    "rebuild": rebuilds,
    "engine-layer": engine_layers,
    "push": pushes,
    "start": starts,
    "edit": edits,
    "requests": requests,
    "contract": contracts,
    "audit": records,
    "chat": chats,
    "test": tests,
    "throughput": throughputs,
    "transfer": transfers,
    "archive": archives,
    "signature": signatures,
    "cold": colds,
    "fleet": fleets,
    "first-hour": first_hours,
    "upgrade": upgrades,
}

_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; 1 if a topic could not be measured at all."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = Path(tempfile.mkdtemp(prefix="mealkit-bench-", dir=options.scratch))
    os.environ["OMP_NUM_THREADS"] = "1"
    machine = f"{describe(scratch)}; {options.runs} runs"
    load = load_average()
    tables: list[Table] = []
    failed = False
    try:
        lab = Lab(scratch, options.sizes, options.runs, _tell)
        for name in options.only or TOPICS:
            _tell(f"--- {name} (load {load_average():.1f})")
            try:
                for table in TOPICS[name](lab):
                    tables.append(table)
                    show(table)
            except CannotMeasureError as error:
                failed = True
                tables.append(Table(name, [], [f"not measured: {error}"]))
                show(tables[-1])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    machine += f"; load average {load:.1f} before and {load_average():.1f} after"
    sys.stdout.write(f"\n{machine}\n")
    _write(options, machine, tables)
    return int(failed)


def _write(options: argparse.Namespace, machine: str, tables: Sequence[Table]) -> None:
    if options.json:
        form = {"machine": machine, "tables": [table.as_json() for table in tables]}
        options.json.write_text(json.dumps(form, indent=2) + "\n")
    if options.markdown:
        text = "\n".join(markdown(table) for table in tables)
        write_section(options.markdown, f"Machine: {machine}.\n\n{text}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--sizes",
        type=lambda text: [_size(part) for part in text.split(",")],
        default=[1024**3],
        help="sizes of the weights, such as 1GiB,4GiB (default: 1GiB)",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument(
        "--only", action="append", choices=TOPICS, help="a topic; may be given more than once"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables there, between the lines '<!-- figures -->' if it has them",
    )
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER", help="a folder with space for ten times the size"
    )
    return parser.parse_args(arguments)


def _size(text: str) -> int:
    for unit, scale in _UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.isascii() and number.isdigit() and int(number):
            return int(number) * scale
    raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64MiB or 1GiB")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
