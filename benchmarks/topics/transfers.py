"""Pulls and copies on loopback, against skopeo and docker in one run."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import downloading, pulling
from benchmarks.docker_peer import find_docker
from benchmarks.figures import Row, Table, against, memory, show_bytes, show_seconds
from benchmarks.lab import Lab
from benchmarks.measured import CannotMeasureError, Contender, Field, Run, measure, take_turns
from benchmarks.registry import registry
from benchmarks.synthetic import SyntheticKit

_OURS, _SKOPEO, _DOCKER, _PLAIN = "mealkit", "skopeo copy", "docker", "a plain download"
_ROOT = Path(pulling.__file__).parent.parent


def transfers(lab: Lab) -> Iterator[Table]:
    """Measure pulls into an empty store, and copies into an empty registry."""
    for size_bytes in lab.sizes:
        with (
            lab.synthetic(size_bytes, 1) as kit,
            lab.warm_home("home") as home,
            registry(lab.scratch / "origin") as here,
        ):
            reference = f"{here.address}/{kit.name}:1.0.0"
            lab.mealkit(home, "build", "--locked", "--push", reference, kit.folder)
            yield _pulls(lab, kit, reference)
            yield _copies(lab, kit, reference)


def _pulls(lab: Lab, kit: SyntheticKit, reference: str) -> Table:
    contenders: dict[str, Contender] = {
        _OURS: lambda _: _into(lab, [sys.executable, "-m", pulling.__name__, reference]),
        _PLAIN: lambda _: _into(lab, [sys.executable, "-m", downloading.__name__, reference]),
        _DOCKER: lambda _: _docker_pull(reference),
        _SKOPEO: lambda _: _skopeo_pull(lab, reference),
    }
    field = take_turns(contenders, lab.runs, lab.tell)
    rows = _rows("pull", field, (_SKOPEO, _DOCKER, _PLAIN))
    rows += memory("peak memory of a pull", field.peak_bytes(_OURS))
    note = (
        "docker pull also unpacks; skopeo writes an OCI layout; the plain download writes all"
        " bytes into one file and hashes nothing. Layers that Docker has of other images are not"
        " fetched by it."
    )
    return Table(f"Pull, {show_bytes(kit.size_bytes)} of weights", rows, [note, *_absent(field)])


def _copies(lab: Lab, kit: SyntheticKit, reference: str) -> Table:
    def copy(_number: int) -> Run:
        with _target(lab, kit) as target, lab.warm_home("copying") as home:
            return lab.mealkit(home, "copy", reference, target)

    def skopeo(_number: int) -> Run:
        with _target(lab, kit) as target:
            tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
            sources = (f"docker://{reference}", f"docker://{target}")
            return _skopeo("copy", "--quiet", "--insecure-policy", *tls, *sources)

    field = take_turns({_OURS: copy, _SKOPEO: skopeo}, lab.runs, lab.tell)
    rows = _rows("copy", field, (_SKOPEO,))
    rows += memory("peak memory of a copy", field.peak_bytes(_OURS))
    title = f"Copy from registry to registry, {show_bytes(kit.size_bytes)} of weights"
    return Table(title, rows, _absent(field))


@contextmanager
def _target(lab: Lab, kit: SyntheticKit) -> Iterator[str]:
    with registry(lab.scratch / "target") as there:
        yield f"{there.address}/{kit.name}:1.0.0"


def _into(lab: Lab, command: list[str]) -> Run:
    place = lab.scratch / "pulled"
    try:
        return measure([*command, place], folder=_ROOT)
    finally:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _docker_pull(reference: str) -> Run:
    docker = find_docker()
    try:
        return measure([docker.program, "pull", "--quiet", reference])
    finally:
        docker.remove(reference)


def _skopeo_pull(lab: Lab, reference: str) -> Run:
    layout = lab.scratch / "layout"
    options = ("--quiet", "--insecure-policy", "--src-tls-verify=false")
    try:
        return _skopeo("copy", *options, f"docker://{reference}", f"oci:{layout}")
    finally:
        shutil.rmtree(layout, ignore_errors=True)


def _skopeo(*arguments: str) -> Run:
    program = shutil.which("skopeo")
    if program is None:
        raise CannotMeasureError("skopeo is not installed")
    return measure([program, *arguments])


def _rows(what: str, field: Field, others: tuple[str, ...]) -> list[Row]:
    ours, seconds = field.samples(_OURS), field.seconds(_OURS)
    rows = [row for name in others for row in against(what, ours, (name, field.samples(name)))]
    if seconds is not None and not rows:
        rows.append(Row(what, show_seconds(seconds), samples={what: ours}))
    return rows


def _absent(field: Field) -> list[str]:
    return [f"{name}: not measured, {reason}" for name, reason in field.absent.items()]
