"""Saves and loads on one disk, against hashing the same bytes and against skopeo in one run."""

import shutil
import sys
from collections.abc import Iterator

from benchmarks.figures import Row, Table, against, memory, show_bytes
from benchmarks.lab import Lab
from benchmarks.measured import CannotMeasureError, Contender, Run, measure, take_turns

_SAVE, _LOAD, _HASH, _SKOPEO = "save", "load", "hashing the archive", "skopeo copy"
_DIGEST = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


def archives(lab: Lab) -> Iterator[Table]:
    """Measure saves into one file, and loads of it into an empty store."""
    for size_bytes in lab.sizes:
        with lab.synthetic(size_bytes, 1) as kit, lab.warm_home("home") as home:
            lab.mealkit(home, "build", "--locked", kit.folder)
            file, other = lab.scratch / "kit.tar", lab.scratch / "again.tar"
            lab.mealkit(home, "save", f"{kit.name}:1.0.0", file)

            def save(_number: int) -> Run:
                other.unlink(missing_ok=True)  # noqa: B023  used within this turn
                other.with_name("again.tar.sha256").unlink(missing_ok=True)  # noqa: B023
                return lab.mealkit(home, "save", f"{kit.name}:1.0.0", other)  # noqa: B023

            def load(_number: int) -> Run:
                with lab.warm_home("loading") as empty:
                    return lab.mealkit(empty, "load", file)  # noqa: B023

            contenders: dict[str, Contender] = {
                _SAVE: save,
                _LOAD: load,
                _HASH: lambda _: measure([sys.executable, "-c", _DIGEST, file]),  # noqa: B023
                _SKOPEO: lambda _: _skopeo(lab, f"oci-archive:{file}"),  # noqa: B023
            }
            field = take_turns(contenders, lab.runs, lab.tell)
            rows: list[Row] = []
            for ours in (_LOAD, _SAVE):
                for name in (_HASH, _SKOPEO):
                    rows += against(ours, field.samples(ours), (name, field.samples(name)))
                rows += memory(f"peak memory of a {ours}", field.peak_bytes(ours))
            note = (
                "load computes two digests of all bytes, of the file and of its layer, and has"
                " them on the disk; hashing computes one, and writes nothing. skopeo writes a"
                " layout."
            )
            absent = [f"{name}: not measured, {why}" for name, why in field.absent.items()]
            yield Table(f"Archive of {show_bytes(size_bytes)} of weights", rows, [note, *absent])


def _skopeo(lab: Lab, source: str) -> Run:
    program = shutil.which("skopeo")
    if program is None:
        raise CannotMeasureError("skopeo is not installed")
    layout = lab.scratch / "layout"
    try:
        options = ("--quiet", "--insecure-policy", "--preserve-digests")
        return measure([program, "copy", *options, source, f"oci:{layout}"])
    finally:
        shutil.rmtree(layout, ignore_errors=True)
