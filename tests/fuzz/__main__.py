"""Fuzz for longer than the tests do: guided by coverage where atheris is there, else by chance.

``python -m fuzz SECONDS [TARGET...]`` gives each target so long, in a process of its own, and ends
with 1 if one crashed. A crash's input is printed; libFuzzer writes it into a file, too.
"""

import importlib.util
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ONE = "--one"


def main(arguments: list[str]) -> int:
    """Fuzz every target, or those that are named."""
    if arguments[:1] == [_ONE]:
        return _one(arguments[1], float(arguments[2]))
    seconds, *names = arguments or ["60"]
    from fuzz.targets import TARGETS  # noqa: PLC0415  the processes below import them instrumented

    chosen = [target.name for target in TARGETS if target.name in names or not names]
    crashed = [
        name
        for name in chosen
        if subprocess.run(
            [sys.executable, "-m", "fuzz", _ONE, name, seconds], check=False
        ).returncode
    ]
    print(f"{len(chosen)} targets, crashes in {len(crashed)}: {', '.join(crashed) or 'none'}")
    return 1 if crashed else 0


def _one(name: str, seconds: float) -> int:
    if importlib.util.find_spec("atheris") is None:
        return _by_chance(name, seconds)
    return _by_coverage(name, seconds)


def _by_chance(name: str, seconds: float) -> int:
    from fuzz.harness import Outcome, fuzz  # noqa: PLC0415
    from fuzz.mutate import inputs  # noqa: PLC0415
    from fuzz.targets import TARGETS  # noqa: PLC0415

    target = next(item for item in TARGETS if item.name == name)
    total, end = Outcome(), time.monotonic() + seconds
    for number in itertools.count():
        found = fuzz(target, inputs(target.seeds, 500, number))
        total.inputs += found.inputs
        total.crashes += found.crashes
        if total.crashes or time.monotonic() > end:
            break
    print(f"{name}: {total.inputs} inputs, {len(total.crashes)} crashes")
    for what, data in total.crashes:
        print(f"  {what}\n  {data!r}")
    return 1 if total.crashes else 0


def _by_coverage(name: str, seconds: float) -> int:
    import atheris  # type: ignore[import-untyped]  # noqa: PLC0415

    with atheris.instrument_imports(include=["mealkit"]):
        from fuzz.harness import crash_of  # noqa: PLC0415
        from fuzz.targets import TARGETS  # noqa: PLC0415
    target = next(item for item in TARGETS if item.name == name)

    def test_one_input(data: bytes) -> None:
        crash = crash_of(target, data)
        if crash:
            print(f"{name}: {crash}\n  {data!r}", flush=True)
            raise RuntimeError(crash)

    with tempfile.TemporaryDirectory(prefix="mealkit-corpus-") as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        options = [
            f"-max_total_time={seconds:.0f}",
            "-max_len=65536",
            "-timeout=30",
            "-verbosity=0",
        ]
        atheris.Setup([name, *options, "-print_final_stats=1", corpus], test_one_input)
        print(f"{name}: for {seconds:.0f} seconds", flush=True)
        atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
