"""``mealkit run`` and ``podman kube play`` in podman's own service, as root and without root."""

import json
import shlex
from contextlib import closing

import pytest
from fakes.container_engines import PODMANS, Engine
from fakes.how_to import file_in
from fakes.little import Heard
from fakes.served import Demo, assert_serves, free_port, wait_ready

from mealkit.deploy.deployment_file import DeploymentFile, read_deployment_file
from mealkit.deploy.kubernetes import kubernetes_objects
from mealkit.deploy.quadlet import quadlet_files
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_document
from mealkit.oci.reference import Reference
from mealkit.pipeline.ask.asked_kit import AskRequest, asked_kit
from mealkit.pipeline.ask.embedding_texts import embed
from mealkit.pipeline.audit.rehashing import rehash
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.machine.clients import read_logs, running_kits, stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_kit
from mealkit.stores.docker_load import load

pytestmark = pytest.mark.online

IMAGE = "localhost/my-kit:1"
PINNED = Reference.parse(f"registry.example.org/kit@sha256:{'1' * 64}")
# What systemd, a shell or podman could read as something else.
HOSTILE = "a $HOME ${PATH} %n \"q\" 'x' \\ ; | `id` {{.ID}}"


# Without root its networks are apart, so another service beside that of other tests is possible.
ROOTLESS = pytest.param(
    "podman-rootless", marks=[pytest.mark.podman, pytest.mark.xdist_group("demo")]
)


@pytest.fixture(scope="module", params=[PODMANS[0], ROOTLESS])
def engine(request: pytest.FixtureRequest, running_engine) -> Engine:
    """Podman of root, and of a user."""
    return running_engine(request.param)


@pytest.fixture(scope="module")
def loaded(engine: Engine, demo: Demo) -> None:
    """The example kit's image, in podman's storage."""
    with closing(engine.sdk()) as sdk:
        load(demo.image, [IMAGE], sdk)


@pytest.fixture
def running(engine: Engine, demo: Demo, unique, monkeypatch) -> tuple[RunReport, Heard]:
    """The example kit, found by the variable that says where a session's sockets are.

    Another user's podman cannot mount files of this user's home, so it gets the full image.
    """
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(engine.podman.runtime))
    # As users of podman set it for other tools.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.podman.socket}")
    heard = Heard()
    request = RunRequest(
        str(demo.kit),
        client="podman",
        name=unique("podman"),
        port=0,
        embedded=engine.name == "podman-rootless",
    )
    return run_kit(request, demo.home, heard), heard


def test_a_question_needs_no_port(engine, demo, monkeypatch):
    """The relay runs in podman's containers, too."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(engine.podman.runtime))
    run = RunRequest(str(demo.kit), client="podman", embedded=engine.name == "podman-rootless")
    with asked_kit(AskRequest(run), demo.home, Heard()) as kit:
        assert len(embed(kit, ["a soup"], None).vectors[0]) == 384


def test_a_kit_runs_is_listed_and_stops(engine, running, demo):
    """Its vectors are right, its health check is in the image, and what podman lacks is printed."""
    report, heard = running
    assert_serves(report.url)
    assert "podman's default network" in " ".join(heard.phases)
    assert any("memory is not limited" in limit for limit in report.limits) == (
        engine.name == "podman-rootless"
    )
    checked = engine.podman.run("healthcheck", "run", report.name)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert [item.name for item in running_kits(demo.home)].count(report.name) == 1
    if engine.name == "podman-rootless":  # the embedded weights are among its files
        assert rehash(report.name, demo.home).problems == ()
    lines = list(read_logs(report.name, follow=False, tail=None, home=demo.home))
    assert any('"status": "ready"' in line for line in lines)
    ended = stop_kit(report.name, timeout_seconds=None, home=demo.home)
    assert ended.code == 0
    assert report.name not in [item.name for item in running_kits(demo.home)]
    with closing(engine.sdk()) as sdk:
        assert sdk.containers.list(all=True) == []
        assert [network.name for network in sdk.networks.list()] == ["bridge"]


# What podman 4.3 lacks: it turns probes into commands of a shell, and has no volumes of these kinds.
_NOT_IN_PODMAN = ("startupProbe", "readinessProbe", "livenessProbe", "volumeMounts")


@pytest.mark.parametrize("engine", PODMANS[:1], indirect=True)
@pytest.mark.usefixtures("loaded")
def test_kube_play_starts_the_rendered_deployment(engine, demo):
    """The kit answers with the rights, limits and variables that Kubernetes gives it."""
    file = read_deployment_file(b'auth: "off"\nname: rendered', "deploy.yaml")
    (deployment,) = [
        item
        for item in kubernetes_objects(Workload.of(lock_of(demo.image), PINNED, file))
        if item["kind"] == "Deployment"
    ]
    port, pod = free_port(), deployment["spec"]["template"]["spec"]
    (kit,) = pod["containers"]
    kit = {name: value for name, value in kit.items() if name not in _NOT_IN_PODMAN}
    kit["ports"] = [{**kit["ports"][0], "hostIP": "127.0.0.1", "hostPort": port}]
    # A kubelet puts in the pod's namespace; podman 4.3 does not know it.
    kit["env"] = [
        {"name": item["name"], "value": item["value"].replace("$(POD_NAMESPACE)", "kits")}
        for item in kit["env"]
        if "value" in item
    ]
    pod["containers"], pod["volumes"] = [{**kit, "image": IMAGE}], []
    path = engine.podman.folder / "rendered.yaml"
    path.write_text(yaml_document(deployment))
    played = engine.podman.run("kube", "play", str(path))
    assert played.returncode == 0, played.stderr
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        assert_serves(url)
        with closing(engine.sdk()) as sdk:
            (container,) = [
                item
                for item in sdk.containers.list()
                if item.name.startswith("rendered-") and item.name.endswith("-kit")
            ]
            host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert host["ReadonlyRootfs"] is True
        assert f"MEALKIT_IMAGE_DIGEST={PINNED.digest}" in config["Env"]
    finally:
        engine.podman.run("kube", "down", str(path))


@pytest.mark.parametrize("engine", PODMANS[:1], indirect=True)
@pytest.mark.usefixtures("loaded")
def test_kube_play_starts_the_pod_of_the_documentation(engine):
    """With another image and port the kit answers, within the limits that the file states."""
    port = free_port()
    pod = file_in("how-to/run-on-a-server.md", "# my-kit.yaml")
    pod = pod.replace("registry.example.org/team/my-kit@sha256:...", IMAGE)
    path = engine.podman.folder / "my-kit.yaml"
    path.write_text(pod.replace("hostPort: 8000", f"hostPort: {port}"))
    played = engine.podman.run("kube", "play", str(path))
    assert played.returncode == 0, played.stderr
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        assert_serves(url)
        with closing(engine.sdk()) as sdk:
            host = sdk.containers.get("my-kit-kit").attrs["HostConfig"]
        assert (host["ReadonlyRootfs"], host["Memory"]) == (True, 600 * 2**20)
    finally:
        engine.podman.run("kube", "down", str(path))


@pytest.mark.parametrize("engine", PODMANS[:1], indirect=True)
def test_the_service_for_podman_4_starts_the_kit(engine, demo):
    """Its own ``podman run`` line, without what needs systemd; each text arrives as it is."""
    with closing(engine.sdk()) as sdk:
        load(demo.image, [IMAGE], sdk)
    port = free_port()
    stated = {"name": "from-unit", "auth": "off", "environment": {"HOSTILE": HOSTILE}}
    form = json.dumps({**stated, "publish": {"port": port}})
    reference = Reference.parse(f"registry.example.org/team/my-kit@{demo.image.digest}")
    file = DeploymentFile.model_validate_json(form)
    unit = quadlet_files(Workload.of(lock_of(demo.image), reference, file))
    text = unit["podman-4/from-unit.service"].replace("\\\n", "").replace(str(reference), IMAGE)
    lines = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("ExecStart"))
    try:
        for name in ("ExecStartPre", "ExecStart"):
            line = lines[name].lstrip("-").replace("%%", "%").replace("$$", "$")
            done = engine.podman.run(*_without_systemd(shlex.split(line)[1:]))
            assert done.returncode == 0, done.stderr
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        assert_serves(url)
        (shown,) = json.loads(engine.podman.run("inspect", "from-unit").stdout)
        assert f"HOSTILE={HOSTILE}" in shown["Config"]["Env"]
        assert shown["HostConfig"]["ReadonlyRootfs"]
        assert shown["HostConfig"]["PidsLimit"] == 4096
    finally:
        engine.podman.run("rm", "--force", "--time=0", "from-unit")


def _without_systemd(words: list[str]) -> list[str]:
    """Drop the unit's control group, and the health check, which podman runs by a timer."""
    found, is_value = [], False
    for word in words:
        if not is_value and not word.startswith(("--health-", "--cgroups=")):
            found.append(word)
        is_value = word.startswith("--health-")
    return found
