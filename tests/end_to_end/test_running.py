"""``mealkit run`` on the real model: mounted or embedded, in docker or in the sandbox, or refused."""

import json
import shlex
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.engine_images import image_tags
from fakes.engines import report_of
from fakes.little import OFFLINE, Heard, edit_kit, little_kit
from fakes.promises import assert_kept, measured
from fakes.served import MINILM_SHA256, Demo, assert_serves, get

from mealkit.assembly.lean import weight_layers
from mealkit.errors import CATALOGUE, MealkitError
from mealkit.pipeline.audit.rehashing import rehash
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.pipeline.machine.clients import read_logs, running_kits, stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_kit
from mealkit.preflight.facts import read_facts
from mealkit.stores.docker_load import load
from mealkit.stores.local import LocalStore

Run = Callable[..., RunReport]


@pytest.fixture
def run(unique) -> Iterator[Run]:
    """Run a kit under a name of its own; it is stopped at the end."""
    names: list[tuple[str, Home]] = []

    def start(target: str | Path, home: Home, progress: Heard | None = None, **wanted) -> RunReport:
        name = unique("kit")
        names.append((name, home))
        request = RunRequest(str(target), name=name, **{"port": 0, **wanted})
        return run_kit(request, home, progress or Heard())

    yield start
    for name, home in names:
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=10, home=home)


@pytest.fixture(autouse=True, scope="module")
def _engine_as_before() -> Iterator[None]:
    """Take back the name that a run gives its image, unless it was there."""
    import docker  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415

    name = "mealkit-run/sbert-minilm:1.0.0"
    try:
        client = docker.from_env()
    except DockerException:
        yield
        return
    was_there = name in image_tags(client)
    yield
    if not was_there:
        with suppress(DockerException):
            client.images.remove(name)
    client.close()


def answer_to_example(report: RunReport) -> dict[str, Any]:
    """Send what the example says, as curl would."""
    program, url, _, header, _, body = shlex.split(report.example)
    assert program == "curl"
    request = urllib.request.Request(url, body.encode(), dict([header.split(": ")]))
    with urllib.request.urlopen(request) as answer:
        form: dict[str, Any] = json.load(answer)
        return form


def assert_rehashed(name: str, demo: Demo) -> None:
    """A running kit is equal to its image, until a file of its root changes: then that is named."""
    found = rehash(name, demo.home)
    assert (found.pinned_by, found.problems) == (demo.report.digest, ())
    (root,) = demo.home.roots.iterdir()
    file = root / "opt/mealkit/lib/mealkit/paths.py"
    before = file.read_bytes()
    file.write_bytes(before + b"import os\n")
    (problem,) = rehash(name, demo.home).problems
    file.write_bytes(before)
    assert problem.code == "CONTENT_DIFFERS"
    assert problem.message.startswith("opt/mealkit/lib/mealkit/paths.py: expected sha256:")


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_docker_serves_with_the_weights_mounted_from_the_store(demo: Demo, run, sdk):
    """The engine gets no weights: it has the lean image, and the verified files read-only."""
    heard = Heard()
    report = run(demo.kit, demo.home, heard, client="docker")

    assert_serves(report.url)

    (container,) = [item for item in running_kits(demo.home) if item.name == report.name]
    theirs = sdk.containers.get(container.id)
    mounts = {
        item["Destination"]: item for item in theirs.attrs["Mounts"] if item["Type"] == "bind"
    }
    layers = weight_layers(demo.image)
    assert set(mounts) == {f"/{layer.path}" for layer in layers}
    assert not any(item["RW"] for item in mounts.values())
    size = sum(layer.size_bytes for layer in layers)
    full = sum(layer.blob.size_bytes for layer in demo.image.layers)
    assert sdk.images.get(theirs.attrs["Image"]).attrs["Size"] < full - size + 1_000_000
    host = theirs.attrs["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert any("no-new-privileges" in item for item in host["SecurityOpt"])
    assert host["Memory"] > 0
    assert host["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    assert "starting with docker" in heard.phases
    assert report.owner.contact == "https://mealkit.dev/kits/sbert-minilm"
    assert len(answer_to_example(report)["data"][0]["embedding"]) == 384
    assert rehash(report.name, demo.home).problems == ()  # its files and the mounted weights
    lines = [
        json.loads(line) for line in read_logs(report.name, follow=False, tail=None, home=demo.home)
    ]
    # The very file that this machine has hashed was mounted, so the start did not wait for it.
    assert "weights verified" in [line["event"] for line in lines]
    metadata = json.dumps(get(f"{report.url}/v1/metadata")[0])
    assert str(demo.report.recipe) in metadata
    ended = stop_kit(report.name, timeout_seconds=None, home=demo.home)
    assert (ended.code, ended.signal) == (0, None)
    assert all(item.name != report.name for item in running_kits(demo.home))


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_docker_serves_with_the_weights_embedded(demo: Demo, demo_tag, run, sdk):
    """``--embedded`` loads the full image and mounts nothing; the second load sends nothing."""
    report = run(demo.kit, demo.home, client="docker", embedded=True)
    assert_serves(report.url)
    theirs = sdk.containers.get(report.name)
    assert [item for item in theirs.attrs["Mounts"] if item["Type"] == "bind"] == []
    stop_kit(report.name, timeout_seconds=None, home=demo.home)

    again = load(demo.image, [demo_tag], sdk)
    assert again.sent_bytes == 0
    assert again.reused_layers == len(demo.image.layers)


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_the_sandbox_serves_the_same_vectors(demo: Demo, run):
    """No engine is needed, and the kit keeps what it promises; what is less isolated is said."""
    heard = Heard()
    report = run(demo.kit, demo.home, heard, client="sandbox")
    assert_serves(report.url)
    assert_kept(measured(report.url, demo.kit, demo.home), stated={"sts-benchmark"})
    assert report.client == "sandbox"
    assert report.limits
    for limit in report.limits:
        assert any(limit in phase for phase in heard.phases)
    assert_rehashed(report.name, demo)
    ended = stop_kit(report.name, timeout_seconds=None, home=demo.home)
    assert (ended.code, ended.signal) == (0, None)


def flip_weights_at(phase: str, home: Home) -> Callable[[str], None]:
    """Flip a byte of the verified weights at a phase: after every check, before the container."""

    def act(title: str) -> None:
        if title != phase:
            return
        path = home.files / "sha256" / MINILM_SHA256
        path.chmod(0o644)
        with path.open("r+b") as stream:
            stream.seek(1_000_000)
            byte = stream.read(1)
            stream.seek(1_000_000)
            stream.write(bytes([byte[0] ^ 1]))

    return act


@pytest.fixture
def own_files(demo: Demo, tmp_path: Path) -> Home:
    """A home with its own copy of the inputs, which a test may damage."""
    home = home_at(tmp_path / "home")
    shutil.copytree(demo.home.files.resolve() / "sha256", home.files / "sha256")
    return home


@pytest.mark.online
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("client", [pytest.param("docker", marks=pytest.mark.docker), "sandbox"])
def test_weights_that_were_flipped_after_verification_never_serve(
    demo: Demo, own_files, run, client
):
    """The container verifies what it is given: one problem, its owner, and nothing left running."""
    home = own_files
    heard = Heard(flip_weights_at(f"starting with {client}", home))
    before = {item.name for item in running_kits(home)}
    with pytest.raises(MealkitError) as raised:
        run(demo.kit, home, heard, client=client)
    (problem,) = raised.value.problems
    assert problem.code == "WEIGHTS_MISMATCH"
    assert problem.owner.value == "platform"
    assert MINILM_SHA256 in problem.message
    assert raised.value.exit_code == CATALOGUE["WEIGHTS_MISMATCH"].error.exit_code == 11
    left = {item.name for item in running_kits(home)} - before
    assert not any(name.startswith("mealkit-test-kit-") for name in left)


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.xdist_group("demo")
def test_a_port_that_is_taken_is_named_and_nothing_stays(demo: Demo, run, sdk):
    """The port stands in the problem; no container is left behind."""
    before = {item.id for item in sdk.containers.list(all=True, ignore_removed=True)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for client in ("docker", "sandbox"):
            with pytest.raises(MealkitError) as raised:
                run(demo.kit, demo.home, client=client, port=port)
            (problem,) = raised.value.problems
            assert problem.code == "PORT_TAKEN"
            assert str(port) in problem.message
            assert raised.value.exit_code == 9
    left = [
        item for item in sdk.containers.list(all=True, ignore_removed=True) if item.id not in before
    ]
    assert [item.name for item in left if item.name.startswith("mealkit-test-kit-")] == []


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.xdist_group("demo")
def test_two_runs_of_one_name_are_one_and_a_problem(demo: Demo, run, sdk, unique):
    """The second is refused while the first goes on serving."""
    first = run(demo.kit, demo.home, client="docker")
    with pytest.raises(MealkitError) as raised:
        run_kit(
            RunRequest(str(demo.kit), client="docker", name=first.name, port=0), demo.home, Heard()
        )
    assert raised.value.problems[0].code == "CONTAINER_EXISTS"
    assert_serves(first.url)


@pytest.fixture
def little(tmp_path, monkeypatch) -> tuple[Path, Home]:
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    return little_kit(tmp_path / "kit"), home_at(tmp_path / "home")


def refused(kit: Path, home: Home, heard: Heard) -> MealkitError:
    with pytest.raises(MealkitError) as raised:
        run_kit(RunRequest(str(kit), port=0), home, heard)
    return raised.value


@pytest.mark.skipif(
    any(Path("/dev", name).exists() for name in ("nvidia0", "kfd", "dxg")), reason="there is a GPU"
)
def test_a_required_gpu_that_is_absent_is_said_before_anything_starts(little):
    """Measured and required stand in one problem, and no client was even chosen."""
    kit, home = little
    edit_kit(kit, lambda form: form["hardware"].update(gpu="required"))
    heard = Heard()
    error = refused(kit, home, heard)
    (problem,) = error.problems
    assert problem.code == "HW_NO_GPU"
    assert problem.owner.value == "hardware"
    assert error.exit_code == 10
    assert (problem.measured, problem.required) == ("none", "a GPU")
    assert not any(phase.startswith("starting") for phase in heard.phases)
    assert not home.roots.exists()


def test_weights_beyond_the_memory_of_the_machine_are_refused(little):
    """A kit that can never fit is refused with both numbers."""
    kit, home = little
    report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    lock = lock_of(LocalStore(home.store).image(str(report.digest)))
    huge = lock.requirements.model_copy(
        update={"weights_bytes": 2**60, "memory_bytes": 2**60, "disk_bytes": 0}
    )
    found = report_of(read_facts((home.root,)), huge)
    assert [problem.code for problem in found.blockers] == ["HOST_MEMORY"]


def test_a_stated_memory_beyond_the_machine_is_said(little):
    """``hardware.memory`` is what the author says it needs: less is at least a warning."""
    kit, home = little
    edit_kit(kit, lambda form: form["hardware"].update(memory="1000TiB"))
    lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard())
    heard = Heard()
    # This client is not here either, so that nothing is started whatever preflight says.
    with pytest.raises(MealkitError) as raised:
        run_kit(RunRequest(str(kit), client="podman", port=0), home, heard)
    found = {item.code: item for item in (*raised.value.problems, *heard.notices)}
    assert "HOST_MEMORY" in found
    assert "1000.0 TiB" in (found["HOST_MEMORY"].required or "")


def test_a_client_that_is_not_here_is_said_with_its_reason(little, monkeypatch):
    """The chosen client is the only one tried."""
    kit, home = little
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.root))
    if Path("/run/podman/podman.sock").exists():
        pytest.skip("podman is here")
    with pytest.raises(MealkitError) as raised:
        run_kit(RunRequest(str(kit), client="podman", port=0), home, Heard())
    assert raised.value.problems[0].code == "CLIENT_UNAVAILABLE"
    assert "podman" in raised.value.problems[0].message


def test_an_image_that_is_nowhere_is_named(little):
    """Neither a folder, nor in the store, nor a registry's."""
    _, home = little
    with pytest.raises(MealkitError) as raised:
        run_kit(RunRequest("no-such-kit:1"), home, Heard())
    assert raised.value.problems[0].code == "IMAGE_NOT_FOUND"
