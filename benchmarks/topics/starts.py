"""The start of the example kit: time to live and ready, and what the gateway adds to its engine."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bare import BareEngine, bare_in_docker, bare_outside
from benchmarks.clock import answers, now, process_start, wait_for
from benchmarks.figures import Row, Table, against, show_bytes, show_seconds, within
from benchmarks.lab import REPOSITORY, Lab, mealkit_command
from benchmarks.measured import CannotMeasureError, median
from benchmarks.registry import free_port

_LIMIT_SECONDS = 300.0
_BODY = json.dumps({"model": "all-MiniLM-L6-v2", "input": "A kit that works at 3 a.m."}).encode()


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds since the container's first process began, but ``called``: since the command did."""

    live: float
    ready: float
    called: float
    phases: dict[str, float]
    port: int


@dataclass(slots=True)
class _Starts:
    """All starts with one client, and those of the engine alone."""

    kit: list[Start] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    reason: str = ""


def starts(lab: Lab) -> Iterator[Table]:
    """Measure starts in docker and in the sandbox, in turn with the bare engine."""
    with lab.warm_home("home") as home, example(lab) as kit:
        report = json.loads(lab.mealkit(home, "build", "--json", kit).output)
        found = {client: _Starts() for client in ("docker", "sandbox")}
        try:
            for number in range(lab.runs):
                for client, those in found.items():
                    if not those.reason:
                        told = _one_round(lab, home, kit, client, those)
                        lab.tell(f"start {number + 1} in {client}: {told}")
        finally:
            remove_image(lab)
    yield Table("The image's parts", [_gateway_size(report)])
    for client, those in found.items():
        yield _table(client, those)


def _one_round(lab: Lab, home: Path, kit: Path, client: str, those: _Starts) -> str:
    try:
        if client == "docker":
            with started(lab, home, kit, client) as (name, start):
                those.kit.append(start)
                engine = bare_in_docker(name, kit, lab.scratch / "bare")
        else:
            with started(lab, home, kit, client) as (_, start):
                those.kit.append(start)
            engine = bare_outside(home, kit, lab.scratch / "bare")
        those.bare.append(bare_seconds(engine, lab.scratch / "bare"))
    except CannotMeasureError as error:
        those.reason = str(error)
        return those.reason
    return f"live {start.live:.2f} s, ready {start.ready:.2f} s, alone {those.bare[-1]:.2f} s"


@contextmanager
def started(lab: Lab, home: Path, kit: Path | str, client: str) -> Iterator[tuple[str, Start]]:
    """Run a kit or a reference with ``mealkit run`` and watch it from outside, during the block."""
    port, name = free_port(), f"{lab.name}-{client}"
    log = lab.scratch / "run.log"
    ours = [*mealkit_command(), "--home", str(home)]
    command = [*ours, "run", str(kit), "--client", client]
    called = now()
    with log.open("wb") as out:
        runner = subprocess.Popen(
            [*command, "--name", name, "--port", str(port), "--json"], stdout=out, stderr=out
        )
    try:
        if client == "docker":
            # Who asks before the container has its network waits for a second: its address is not
            # known yet, and the kernel asks for it again only then.
            wait_for(lambda: _has_begun(name), lambda: bool(runner.poll()), _LIMIT_SECONDS)
        live = _when(port, "/v1/health/live", runner)
        ready = _when(port, "/v1/health/ready", runner)
        code = runner.wait(_LIMIT_SECONDS)
        if live is None or ready is None or code:
            tail = log.read_text(errors="replace").strip()[-500:]
            raise CannotMeasureError(f"mealkit run ended with {code}: {tail}")
        began = process_start(_init(home, name) if client == "sandbox" else first_process(name))
        phases = _phases(port)
        yield name, Start(live - began, ready - began, ready - called, phases, port)
    finally:
        if runner.poll() is None:
            runner.terminate()
            runner.wait()
        subprocess.run([*ours, "stop", name], capture_output=True, check=False)


def _when(port: int, path: str, runner: "subprocess.Popen[bytes]") -> float | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    return wait_for(lambda: answers(connection, path), lambda: bool(runner.poll()), _LIMIT_SECONDS)


def ready_at(port: int) -> float | None:
    """Return when a kit at a port was first ready; None if it never was."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    path = "/v1/health/ready"
    return wait_for(lambda: answers(connection, path), lambda: False, _LIMIT_SECONDS)


def _phases(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/v1/health/ready")
    form = json.loads(connection.getresponse().read())
    connection.close()
    phases: dict[str, float] = form["phases"]
    return phases


def _init(home: Path, name: str) -> int:
    """Return the host's number of a sandbox's first process."""
    pid: int = json.loads((home / "runs" / name / "init.json").read_bytes())["pid"]
    return pid


def first_process(name: str) -> int:
    """Return the host's number of the first process of a docker container.

    Raises:
        CannotMeasureError: the container is gone.
    """
    command = ["docker", "inspect", "--format", "{{.State.Pid}}", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not Path(f"/proc/{done.stdout.strip()}/stat").exists():
        raise CannotMeasureError(f"docker does not tell the process of {name}")
    return int(done.stdout)


def _has_begun(name: str) -> bool:
    try:
        return first_process(name) > 0
    except CannotMeasureError:
        return False


def bare_seconds(engine: BareEngine, folder: Path) -> float:
    """Start an engine alone; return the seconds until it answered one real request."""
    with engine.started() as (pid, connect):
        ready = wait_for(
            lambda: answers(connect(), "/health") and answers(connect(), "/v1/embeddings", _BODY),
            lambda: False,
            _LIMIT_SECONDS,
        )
        if ready is None:
            raise CannotMeasureError("the bare engine did not become ready")
        seconds = ready - process_start(pid)
    shutil.rmtree(folder, ignore_errors=True)
    return seconds


@contextmanager
def example(lab: Lab) -> Iterator[Path]:
    """Lend a copy of the example kit under a name of its own."""
    kit = lab.scratch / "example"
    shutil.copytree(REPOSITORY / "kits/sbert-minilm", kit)
    path = kit / "kit.yaml"
    path.write_text(path.read_text().replace("name: sbert-minilm\n", f"name: {lab.name}\n", 1))
    try:
        yield kit
    finally:
        shutil.rmtree(kit, ignore_errors=True)


def remove_image(lab: Lab) -> None:
    """Remove what ``mealkit run`` loaded into Docker."""
    listing = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    names = subprocess.run(
        [*listing, f"mealkit-run/{lab.name}"], capture_output=True, text=True, check=False
    )
    for name in names.stdout.split():
        command = ["docker", "image", "rm", "--force", name]
        subprocess.run(command, capture_output=True, check=False)


def _gateway_size(report: dict[str, object]) -> Row:
    layers = report["layers"]
    assert isinstance(layers, list)  # noqa: S101
    size_bytes = sum(layer["size"] for layer in layers if layer["kind"] == "gateway")
    met = size_bytes <= 40 * 1000 * 1000
    return Row("gateway layer", show_bytes(size_bytes), budget="≤ 40 MB", met=met)


def _table(client: str, those: _Starts) -> Table:
    title = f"Start of the example kit in {client}"
    notes = [f"not measured further: {those.reason}"] if those.reason else []
    if not those.kit:
        return Table(title, [], notes)
    live = [start.live for start in those.kit]
    ready = [start.ready for start in those.kit]
    rows = within("live, since the container's first process", median(live), 1.0, live)
    rows += _plain("ready, since the container's first process", median(ready), ready)
    rows += _plain(
        "ready, since mealkit run was called", median([start.called for start in those.kit])
    )
    where = "in the same image" if client == "docker" else "outside, with this Python"
    alone = (f"engine alone, {where}, one request answered", those.bare)
    rows += against("ready", ready[: len(those.bare)], alone, 1.10)
    names = sorted({name for start in those.kit for name in start.phases})
    parts = {name: median([start.phases.get(name, 0.0) for start in those.kit]) for name in names}
    told = ", ".join(f"{name} {show_seconds(value or 0)}" for name, value in parts.items())
    return Table(title, rows, [*notes, f"Phases, as the gateway states them: {told}."])


def _plain(what: str, seconds: float | None, samples: list[float] | None = None) -> list[Row]:
    """Return a row with a time that has no limit."""
    if seconds is None:
        return []
    return [Row(what, show_seconds(seconds), samples={"seconds": samples or []})]
