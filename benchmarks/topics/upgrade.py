"""What the front of a deployment adds to a request, and how many requests its switches lose."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.topics.starts import example
from mealkit.containers.docker import DockerClient
from mealkit.containers.docker_network import join_network
from mealkit.containers.front import Front
from mealkit.containers.front_spec import FrontSpec
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import open_front
from mealkit.progress import SILENT

_MODEL = "all-MiniLM-L6-v2"
# The real engine answers fewer requests than the gateway could pass on.
_RATE, _SECONDS, _SWITCHES = 20, 6, 20
_PAUSE_SECONDS = 0.25
_FIGURES = ("p50", "p99")


def upgrades(lab: Lab) -> Iterator[Table]:
    """Measure requests with and without a front in turn, then requests while revisions change."""
    with ExitStack() as stack:
        home = stack.enter_context(lab.warm_home("home"))
        kit = stack.enter_context(example(lab))
        client = DockerClient()
        front = stack.enter_context(_front(lab, client, home))
        targets, places = [], {}
        for letter in "ab":
            name = f"{lab.name}-{letter}"
            places["published port"] = stack.enter_context(_run(lab, home, kit, name))
            with client.connected("join the network of the front") as sdk:
                join_network(sdk, front.network, sdk.containers.get(name))
            targets.append(f"{name}:{_port_of(name)}")
        front.route(targets[1])
        places["front"] = f"127.0.0.1:{front.state().port}"
        found: dict[str, list[dict[str, float]]] = {name: [] for name in places}
        for number in range(lab.runs):
            for name in sorted(places, reverse=bool(number % 2)):
                figures = _asked(places[name], _SECONDS)
                found[name].append(figures)
                p50, p99 = (show_seconds(figures[figure]) for figure in _FIGURES)
                lab.tell(f"{name}: p50 {p50}, p99 {p99}")
        switched = _switched(front, targets, places["front"])
    yield Table(
        f"The front of a deployment, at {_RATE} requests a second",
        [*_compared(found), _lost(switched)],
        ["Both ports are published by Docker; behind one of them HAProxy passes the requests on."],
    )


def _port_of(name: str) -> int:
    """Return the port that a kit listens on in its container."""
    told = subprocess.run(
        ["docker", "inspect", "--format", "{{json .Config.ExposedPorts}}", name],
        capture_output=True,
        check=True,
    )
    return int(next(iter(json.loads(told.stdout))).partition("/")[0])


def _compared(found: Mapping[str, list[dict[str, float]]]) -> Iterator[Row]:
    for figure in _FIGURES:
        with_front = [run[figure] for run in found["front"]]
        without = [run[figure] for run in found["published port"]]
        through, direct = median(with_front) or 0.0, median(without) or 0.0
        yield Row(
            f"a request, {figure}",
            show_seconds(through),
            f"without a front: {show_seconds(direct)}",
            ratio=through / direct,
            samples={"front": with_front, "published port": without},
        )


def _lost(figures: dict[str, float]) -> Row:
    lost = int(figures["refused"])
    sent = int(figures["sent"])
    what = f"requests lost in {_SWITCHES} switches, of {sent}"
    return Row(what, str(lost), budget="0", met=lost == 0)


@contextmanager
def _front(lab: Lab, client: DockerClient, home: Path) -> Iterator[Front]:
    reason = client.available()
    if reason is not None:
        raise CannotMeasureError(reason)
    spec = FrontSpec(lab.name, "127.0.0.1", 0, f"{lab.name}-revisions")
    front = open_front(client, spec, Home(home), SILENT)
    try:
        front.ensure()
        yield front
    finally:
        front.remove()


@contextmanager
def _run(lab: Lab, home: Path, kit: Path, name: str) -> Iterator[str]:
    """Run a kit, and yield its published address."""
    options = ["--name", name, "--port", "0", "--client", "docker", "--json"]
    run = lab.mealkit(home, "run", kit, *options)
    try:
        yield str(json.loads(run.output)["url"]).removeprefix("http://")
    finally:
        lab.mealkit(home, "stop", name)


def _switched(front: Front, targets: list[str], place: str) -> dict[str, float]:
    """Ask while the revisions take turns."""
    with _asking(place, _SWITCHES * _PAUSE_SECONDS + 2) as asking:
        for number in range(_SWITCHES):
            front.route(targets[number % 2])
            with suppress(subprocess.TimeoutExpired):
                asking.wait(_PAUSE_SECONDS)
        return _figures(asking)


@contextmanager
def _asking(place: str, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.caller", place, str(_RATE), str(seconds)]
    command += ["0", _MODEL]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY) as asking:
        yield asking


def _asked(place: str, seconds: float) -> dict[str, float]:
    with _asking(place, seconds) as asking:
        return _figures(asking)


def _figures(asking: "subprocess.Popen[str]") -> dict[str, float]:
    output, said = asking.communicate()
    if asking.returncode:
        raise CannotMeasureError(f"the caller failed: {said.strip()[-500:]}")
    figures: dict[str, float] = json.loads(output)
    return figures
