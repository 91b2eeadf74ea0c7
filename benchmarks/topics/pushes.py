"""Pushes to a registry on loopback against skopeo and docker push; pulls; memory of both."""

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import pulling
from benchmarks.docker_peer import DockerPeer, find_docker
from benchmarks.figures import Row, Table, against, memory, show_bytes, show_seconds
from benchmarks.lab import Lab
from benchmarks.measured import CannotMeasureError, Contender, Field, Run, measure, take_turns
from benchmarks.registry import Registry, registry
from benchmarks.synthetic import SyntheticKit

_OURS, _SKOPEO, _DOCKER = "mealkit build --push", "skopeo copy", "docker push"
_NOTE = (
    "Each push goes into an empty registry. mealkit sends layers as they are; skopeo and docker "
    "compress them on the way, as they do by default. mealkit's time includes finding that nothing "
    "has to be built."
)
_SENT = re.compile(r"\((\d+) bytes sent\)")


def pushes(lab: Lab) -> Iterator[Table]:
    """Measure pushes of the whole image, of the same image again, and pulls."""
    for size_bytes in lab.sizes:
        with lab.synthetic(size_bytes, 1) as kit, lab.warm_home("home") as home:
            # Built before, so that a push is what is measured, and no layout is written for it.
            lab.mealkit(home, "build", "--locked", kit.folder)
            yield _pushes(lab, kit, home)
            yield _again(lab, kit, home)


def _pushes(lab: Lab, kit: SyntheticKit, home: Path) -> Table:
    def push(_number: int) -> Run:
        with registry(lab.scratch / "registry") as here:
            return _push(lab, kit, home, here)

    contenders: dict[str, Contender] = {_OURS: push}
    notes = [_NOTE]
    with ExitStack() as stack:
        try:
            contenders[_DOCKER] = _docker_push(lab, kit, home, stack)
        except CannotMeasureError as error:
            notes.append(f"{_DOCKER}: not measured, {error}")
        try:
            contenders[_SKOPEO] = _skopeo_push(lab, kit, home, stack)
        except CannotMeasureError as error:
            notes.append(f"{_SKOPEO}: not measured, {error}")
        field = take_turns(contenders, lab.runs, lab.tell)
    notes += [f"{name}: not measured, {reason}" for name, reason in field.absent.items()]
    return Table(f"Push, {show_bytes(kit.size_bytes)} of weights", _push_rows(field), notes)


def _push_rows(field: Field) -> list[Row]:
    ours = field.seconds(_OURS)
    samples = {name: field.samples(name) for name in field.runs}
    rows = against("push", ours, (_SKOPEO, field.seconds(_SKOPEO)), samples=samples)
    rows += against("push", ours, (_DOCKER, field.seconds(_DOCKER)))
    if ours is not None and not rows:
        rows.append(Row("push", show_seconds(ours), samples=samples))
    return rows + memory("peak memory of a push", field.peak_bytes(_OURS))


def _again(lab: Lab, kit: SyntheticKit, home: Path) -> Table:
    title = f"Push of what is there, and pull, {show_bytes(kit.size_bytes)} of weights"
    try:
        with registry(lab.scratch / "registry") as here:
            _push(lab, kit, home, here)
            before = here.requests()
            again = _push(lab, kit, home, here)
            asked = here.requests() - before
            pulled = _pull(lab, kit, here)
    except CannotMeasureError as error:
        return Table(title, [], [f"not measured, {error}"])
    sent = sum(int(count) for count in _SENT.findall(again.output))
    layers = len(json.loads(again.output)["layers"])
    # A HEAD each for the layers and the config, then the manifest; /v2/ is asked once.
    rows = [
        Row("push again", show_seconds(again.seconds)),
        Row(
            "requests of a push again",
            _counted(asked),
            f"{layers} layers and the config",
            budget="one HEAD each, no upload",
            met=not (asked["POST"] or asked["PATCH"]) and sent == 0,
        ),
        Row("pull into an empty home", show_seconds(pulled.seconds)),
        *memory("peak memory of a pull", pulled.peak_bytes),
    ]
    return Table(title, rows)


def _push(lab: Lab, kit: SyntheticKit, home: Path, here: Registry) -> Run:
    target = f"{here.address}/{kit.name}:1.0.0"
    return lab.mealkit(home, "build", "--locked", "--json", "--push", target, kit.folder)


def _pull(lab: Lab, kit: SyntheticKit, here: Registry) -> Run:
    home = lab.scratch / "pulled"
    try:
        command = [sys.executable, "-m", pulling.__name__, f"{here.address}/{kit.name}:1.0.0"]
        return measure([*command, home], folder=Path(pulling.__file__).parent.parent)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _docker_push(lab: Lab, kit: SyntheticKit, home: Path, stack: ExitStack) -> Contender:
    docker: DockerPeer = find_docker()
    lab.mealkit(home, "build", "--locked", "--load", kit.folder)
    stack.callback(docker.remove, kit.tag)

    def push(_number: int) -> Run:
        with registry(lab.scratch / "registry") as here:
            return docker.push(kit.tag, f"{here.address}/{kit.name}:docker")

    return push


def _skopeo_push(lab: Lab, kit: SyntheticKit, home: Path, stack: ExitStack) -> Contender:
    if shutil.which("skopeo") is None:
        raise CannotMeasureError("skopeo is not installed")
    layout = lab.scratch / "layout"
    lab.mealkit(home, "build", "--locked", "--output", f"oci:{layout}", kit.folder)
    stack.callback(shutil.rmtree, layout, ignore_errors=True)

    def push(_number: int) -> Run:
        with registry(lab.scratch / "registry") as here:
            target = f"docker://{here.address}/{kit.name}:skopeo"
            command = ["skopeo", "copy", "--quiet", "--insecure-policy"]
            return measure([*command, "--dest-tls-verify=false", f"oci:{layout}", target])

    return push


def _counted(asked: Counter[str]) -> str:
    return ", ".join(f"{count} {method}" for method, count in sorted(asked.items())) or "none"
