"""Builds: the first against hashing and docker build, the one after an edit, disk and memory."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import yardstick
from benchmarks.docker_peer import DockerPeer, clean_cache, find_docker
from benchmarks.figures import Row, Table, against, memory, show_bytes, show_seconds, within
from benchmarks.lab import Lab, disk_bytes
from benchmarks.measured import (
    CannotMeasureError,
    Contender,
    Field,
    Run,
    measure,
    median,
    take_turns,
)
from benchmarks.synthetic import SyntheticKit

_OURS, _LOADED, _HASHING = "mealkit build", "mealkit build --load", "hashing"
_BUILDKIT, _LEGACY = "docker build (BuildKit)", "docker build (legacy)"
_BUILDERS = {_BUILDKIT: True, _LEGACY: False}
_MANY_FILES = 8
_COLD_NOTE = (
    "Once, for orientation: it resolves and fetches every package over the network and assembles "
    "the layers of base, engine and gateway, which later builds share."
)
# The size that the budget of a first build is stated for: below it, starting a program weighs more.
_BUDGET_BYTES = 4 * 1024**3


def first_builds(lab: Lab) -> Iterator[Table]:
    """Measure first builds: only the weights are new, everything else is in the home already."""
    cold = lab.first_build[2]
    yield Table(
        "First build on an empty machine",
        [Row("lock and build of a kit with 1 MiB of weights", show_seconds(cold.seconds))],
        [_COLD_NOTE],
    )
    for size_bytes in lab.sizes:
        yield _first_builds(lab, size_bytes, 1)
        yield _first_builds(lab, size_bytes, _MANY_FILES)


def rebuilds(lab: Lab) -> Iterator[Table]:
    """Measure builds after an edit of a prompt."""
    for size_bytes in lab.sizes:
        with lab.synthetic(size_bytes, 1) as kit, lab.warm_home("home") as home:
            yield _rebuilds(lab, kit, home)


def _first_builds(lab: Lab, size_bytes: int, files: int) -> Table:
    extra_bytes: list[int] = []
    with lab.synthetic(size_bytes, files) as kit:

        def build(number: int) -> Run:
            with lab.warm_home(f"home-{number}") as home:
                before = disk_bytes(home)
                run = lab.mealkit(home, "build", "--locked", kit.folder)
                extra_bytes.append(disk_bytes(home) - before)
            return run

        contenders: dict[str, Contender] = {_HASHING: lambda _: _hash(kit), _OURS: build}
        absent: dict[str, str] = {}
        if files == 1:
            try:
                docker = find_docker()
            except CannotMeasureError as error:
                absent[_BUILDKIT] = absent[_LEGACY] = str(error)
            else:
                contenders |= _docker_contenders(lab, kit, docker)
        field = take_turns(contenders, lab.runs, lab.tell)
    return _first_table(kit, files, field, max(extra_bytes, default=0), absent)


def _docker_contenders(lab: Lab, kit: SyntheticKit, docker: DockerPeer) -> dict[str, Contender]:
    def build(name: str) -> Contender:
        def run(_number: int) -> Run:
            with clean_cache():
                try:
                    return docker.build(
                        kit.context,
                        f"{kit.name}:docker",
                        buildkit=_BUILDERS[name],
                        fresh=True,
                        least_bytes=kit.size_bytes * 9 // 10,
                    )
                finally:
                    docker.remove(f"{kit.name}:docker")

        return run

    def load(number: int) -> Run:
        with lab.warm_home(f"loaded-{number}") as home:
            try:
                return lab.mealkit(home, "build", "--locked", "--load", kit.folder)
            finally:
                docker.remove(kit.tag)

    return {**{name: build(name) for name in _BUILDERS}, _LOADED: load}


def _first_table(
    kit: SyntheticKit, files: int, field: Field, extra_bytes: int, absent: dict[str, str]
) -> Table:
    ours = field.samples(_OURS)
    judged = kit.size_bytes >= _BUDGET_BYTES
    hashing = ("hashing them", field.samples(_HASHING))
    rows = against("first build", ours, hashing, 1.15 if judged else None)
    for name in (_BUILDKIT, _LEGACY):
        limit = 0.1 if judged else None
        rows += against("first build", ours, (name, field.samples(name)), limit)
        rows += against(
            "first build, and loaded into Docker",
            field.samples(_LOADED),
            (name, field.samples(name)),
        )
    if _OURS in field.runs:
        share = extra_bytes / kit.size_bytes
        rows.append(
            Row(
                "extra disk",
                show_bytes(extra_bytes),
                f"the weights: {show_bytes(kit.size_bytes)}",
                share,
                "ratio ≤ 0.01",
                share <= 0.01,
            )
        )
    rows += memory("peak memory", field.peak_bytes(_OURS))
    notes = [f"{name}: not measured, {why}" for name, why in {**absent, **field.absent}.items()]
    if _OURS in field.runs:
        notes.append(_cpu_note(field, _OURS, _HASHING))
    title = f"First build, {show_bytes(kit.size_bytes)} of weights in {_files(files)}"
    return Table(title, rows, notes)


def _rebuilds(lab: Lab, kit: SyntheticKit, home: Path) -> Table:
    lab.mealkit(home, "build", kit.folder)
    before = disk_bytes(home)
    changed: set[str] = set()

    def build(number: int) -> Run:
        kit.edit_prompt(f"mealkit {number}")
        run = lab.mealkit(home, "build", "--replace", "--json", kit.folder)
        layers = json.loads(run.output)["layers"]
        changed.update(layer["kind"] for layer in layers if not layer["reused"])
        return run

    start = lambda _: measure([sys.executable, "-c", "pass"])  # noqa: E731
    contenders: dict[str, Contender] = {"python": start, _OURS: build}
    notes: list[str] = []
    with ExitStack() as stack:
        try:
            contenders |= stack.enter_context(_docker_rebuilds(kit))
        except CannotMeasureError as error:
            notes.append(f"docker build: not measured, {error}")
        field = take_turns(contenders, lab.runs, lab.tell)
    ours = field.seconds(_OURS)
    rows = within("rebuild after a prompt edit", ours, 0.5, field.samples(_OURS))
    only_kit = changed == {"kit"}
    rows.append(
        Row(
            "layers that changed",
            ", ".join(sorted(changed)) or "none",
            budget="only the kit's",
            met=only_kit,
        )
    )
    for name in (_BUILDKIT, _LEGACY, "python"):
        shown = "starting Python" if name == "python" else name
        rows += against("rebuild", field.samples(_OURS), (shown, field.samples(name)))
    extra = (disk_bytes(home) - before) // max(1, lab.runs)
    rows.append(Row("extra disk, for each rebuild", show_bytes(extra)))
    rows += memory("peak memory", field.peak_bytes(_OURS))
    notes += [f"{name}: not measured, {reason}" for name, reason in field.absent.items()]
    if ours is not None:
        notes.append(_cpu_note(field, _OURS, "python"))
    title = f"Rebuild after a prompt edit, {show_bytes(kit.size_bytes)} of weights"
    return Table(title, rows, notes)


@contextmanager
def _docker_rebuilds(kit: SyntheticKit) -> Iterator[dict[str, Contender]]:
    docker = find_docker()
    tags = {name: f"{kit.name}:{name.split('(')[1][:-1].lower()}" for name in _BUILDERS}
    made: set[str] = set()

    def build(name: str) -> Contender:
        def run(number: int) -> Run:
            kit.edit_prompt(f"{name} {number}")
            built = docker.build(kit.context, tags[name], buildkit=_BUILDERS[name], fresh=False)
            made.add(docker.identity(tags[name]))
            return built

        return run

    with clean_cache():
        try:
            for name in _BUILDERS:
                build(name)(-1)
            yield {name: build(name) for name in _BUILDERS}
        finally:
            docker.remove(*tags.values(), *made)


def _hash(kit: SyntheticKit) -> Run:
    return measure([sys.executable, "-I", "-S", Path(yardstick.__file__), *kit.weights])


def _cpu_note(field: Field, *names: str) -> str:
    """Say how much CPU time each took, which a busy machine stretches less than time itself."""
    parts = []
    for name in names:
        found = median([run.cpu_seconds for run in field.runs.get(name, ())])
        if found is not None:
            parts.append(f"{name} {show_seconds(found)}")
    return f"CPU time: {', '.join(parts)}."


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
