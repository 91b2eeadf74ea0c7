"""A kit in a registry and a machine that has nothing of it: from the command to the first answer.

Then a release of a new prompt, from the edit here to the first answer there.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import downloading
from benchmarks.bare import bare_in_docker
from benchmarks.clock import now
from benchmarks.docker_peer import find_docker
from benchmarks.figures import Row, Table, against, show_bytes, show_seconds, within
from benchmarks.lab import Lab
from benchmarks.measured import CannotMeasureError, measure, median
from benchmarks.registry import free_port, registry
from benchmarks.synthetic import write_safetensors
from benchmarks.topics.starts import bare_seconds, example, ready_at, remove_image, started

_MORE = '    - {source: folder, path: more, files: ["*.safetensors"], into: more}\n'
_PROMPT = "prompts: {query: {file: query.jinja, variables: [text]}}"


@dataclass(slots=True)
class _Times:
    """The seconds of each round."""

    cold: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    release: list[float] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    docker: list[float] = field(default_factory=list)


def colds(lab: Lab) -> Iterator[Table]:
    """Measure mealkit run, docker pull with docker run, and a download with the engine's start."""
    size_bytes, times = lab.sizes[0], _Times()
    with (
        lab.warm_home("home") as home,
        example(lab) as kit,
        registry(lab.scratch / "origin") as here,
    ):
        _make_larger(kit, size_bytes)
        for number in range(lab.runs):
            names = [f"{here.address}/{lab.name}:{number}.0.{patch}" for patch in (0, 1)]
            _release(lab, home, kit, names[0])
            _run(lab, home, kit, names, times)
            times.docker.append(_docker(names[0]))
            lab.tell(f"cold start {number + 1}: {times}")
    rows = against("cold, to ready", times.cold, ("download and engine alone", times.least), 1.1)
    rows += against("cold, to ready", times.cold, ("docker pull and run", times.docker), 0.5)
    rows.append(Row("the same again, to ready", show_seconds(median(times.again) or 0)))
    what = "a new prompt, from the edit to ready on the other machine"
    rows += within(what, median(times.release), 5.0, times.release)
    yield Table(f"Cold start of the example kit, {show_bytes(size_bytes)} of weights more", rows)


def _make_larger(kit: Path, size_bytes: int) -> None:
    """Add weights that the engine does not load; they are fetched and verified all the same."""
    (kit / "more").mkdir()
    write_safetensors(kit / "more/more.safetensors", size_bytes)
    path = kit / "kit.yaml"
    path.write_text(path.read_text().replace("\nprompts: {}", f"{_MORE}\n{_PROMPT}", 1))


def _release(lab: Lab, home: Path, kit: Path, reference: str) -> float:
    """Edit prompt and version, build and push; return how long the commands took."""
    (kit / "query.jinja").write_text(f"{reference}: {{{{ text }}}}\n")
    path = kit / "kit.yaml"
    version = f"version: {reference.rpartition(':')[2]}"
    path.write_text(re.sub("^version: .*$", version, path.read_text(), flags=re.MULTILINE))
    runs = [lab.mealkit(home, "lock", kit), lab.mealkit(home, "build", "--push", reference, kit)]
    return sum(run.seconds for run in runs)


def _run(lab: Lab, home: Path, kit: Path, names: Sequence[str], times: _Times) -> None:
    """Start it in a new home, once more, and then after a release of a prompt."""
    remove_image(lab)
    there, bare = lab.scratch / "cold", lab.scratch / "bare"
    try:
        with started(lab, there, names[0], "docker") as (name, start):
            times.cold.append(start.called)
            engine = bare_seconds(bare_in_docker(name, kit, bare), bare)
        times.least.append(_download(lab, names[0]) + engine)
        with started(lab, there, names[0], "docker") as (_, start):
            times.again.append(start.called)
        seconds = _release(lab, home, kit, names[1])
        with started(lab, there, names[1], "docker") as (_, start):
            times.release.append(seconds + start.called)
    finally:
        remove_image(lab)
        shutil.rmtree(there, ignore_errors=True)


def _download(lab: Lab, reference: str) -> float:
    file = lab.scratch / "download"
    try:
        command = [sys.executable, "-m", downloading.__name__, reference, file]
        return measure(command, folder=Path(downloading.__file__).parent.parent).seconds
    finally:
        file.unlink(missing_ok=True)


def _docker(reference: str) -> float:
    docker, port = find_docker(), free_port()
    name = f"mealkit-bench-cold-{port}"
    called = now()
    try:
        measure([docker.program, "pull", "--quiet", reference])
        published = ("--publish", f"127.0.0.1:{port}:8000", "--env", "MEALKIT_AUTH=off")
        measure([docker.program, "run", "--detach", "--name", name, *published, reference])
        ready = ready_at(port)
        if ready is None:
            raise CannotMeasureError("docker run does not become ready")
        return ready - called
    finally:
        subprocess.run([docker.program, "rm", "--force", name], capture_output=True, check=False)
        docker.remove(reference)
