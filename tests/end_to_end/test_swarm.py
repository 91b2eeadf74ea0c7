"""A deployment on a real Swarm of two nodes: upgrades under load, failures, the way back, a drain."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.served import PATIENCE_SECONDS, ROOT, need
from fakes.swarm_nodes import SwarmNodes, sdk_of, swarm_of_two

from mealkit.clusters.swarm_services import find_service, update_service
from mealkit.clusters.swarm_tasks import LABEL_REVISION, tasks_of
from mealkit.deploy.compose import compose_files
from mealkit.deploy.spec_difference import spec_difference
from mealkit.deploy.swarm_service import Revision, service_spec
from mealkit.deploy.swarm_stack import stack_files
from mealkit.deploy.workload import Workload
from mealkit.errors import MealkitError, Owner
from mealkit.pipeline.cluster.deployment_target import DeployRequest, workload_of
from mealkit.pipeline.cluster.swarm_apply import Applied, apply_to_swarm, attach, roll_back_swarm
from mealkit.pipeline.cluster.swarm_history import Wish
from mealkit.pipeline.cluster.swarm_status import Status, swarm_difference, swarm_status
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.publish.pushing import PushRequest, push_target
from mealkit.progress import SILENT
from mealkit.runtime.gateway.keys import new_key

pytestmark = [
    pytest.mark.docker,
    pytest.mark.online,
    pytest.mark.xdist_group("swarm"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

# What Docker, Swarm and its templates could read as something else.
HOSTILE = "a $HOME ${PATH} {{.Node.ID}} \"q\" 'x' \\ ; | `id`"

# Callers that keep their connections, as clients do. At the end they print how often what came.
CALLERS = """
import collections, http.client, json, signal, sys, threading
ends, ended = collections.Counter(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
body = json.dumps({"input": {"text": "Linear equations, and linear inequations.", "top": 1}})
head = {"Content-Type": "application/json", "Authorization": "Bearer " + sys.argv[2]}

def call():
    connection = http.client.HTTPConnection(sys.argv[1], 8000, timeout=60)
    while not ended.wait(0.05):
        try:
            connection.request("POST", "/v1/predict", body, head)
            answer = connection.getresponse()
            data = answer.read()
            ends["answered" if answer.status == 200 else data.decode()] += 1
        except OSError as error:
            connection.close()
            ends[repr(error)] += 1

threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
ended.wait()
for thread in threads:
    thread.join()
print(json.dumps(ends))
"""


@dataclass(frozen=True, slots=True)
class Kits:
    """Two kits of one name in the nodes' registry; a case of the second one fails."""

    home: Home
    good: Path
    good_image: str
    wrong: Path
    wrong_image: str


@dataclass(slots=True)
class Deployed:
    """The deployment that the tests change one after the other."""

    kits: Kits
    nodes: SwarmNodes
    folder: Path
    key: str
    keys: bytes
    other_keys: bytes
    first: Applied | None = None
    changes: int = field(default=0)

    def workload(self, *, wrong: bool = False, **stated: Any) -> Workload:
        kits = self.kits
        form = {
            "name": "rake",
            "image": kits.wrong_image if wrong else kits.good_image,
            "replicas": 2,
            "resources": {"cpu": 0.1, "memory": "400MiB"},
            "rollout": {"settle_seconds": 1},
            "environment": {"HOSTILE": HOSTILE},
        }
        path = self.folder / "deploy.yaml"
        path.write_text(yaml.safe_dump({**form, **stated}))
        kit = kits.wrong if wrong else kits.good
        return workload_of(DeployRequest(str(kit), path), kits.home, SILENT)

    def changed(self) -> dict[str, Any]:
        """A setting that differs each time, so that all replicas are replaced."""
        self.changes += 1
        return {"environment": {"HOSTILE": HOSTILE, "CHANGE": str(self.changes)}}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[SwarmNodes]:
    with swarm_of_two(tmp_path_factory.mktemp("swarm")) as started:
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = started.manager.url
        yield started
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before


@pytest.fixture(scope="module")
def kits(nodes, tmp_path_factory, home_with_files) -> Kits:
    folder = tmp_path_factory.mktemp("kits")
    home = home_with_files(folder / "home")
    good, wrong = folder / "good", folder / "wrong"
    shutil.copytree(ROOT / "kits" / "rake", good)
    shutil.copytree(good, wrong)
    text = (wrong / "kit.yaml").read_text()
    (wrong / "kit.yaml").write_text(
        text.replace("version: 1.0.0", "version: 1.0.1").replace(
            "equals: axis of evil", "equals: axis of good"
        )
    )
    images = []
    for path in (good, wrong):
        built = build_kit(path, frozen=False, outputs=Outputs(), home=home, progress=SILENT)
        place = f"{nodes.registry}/kits/rake"
        request = PushRequest(str(built.digest), f"{place}:{path.name}")
        images.append(f"{place}@{push_target(request, home, SILENT).digest}")
    return Kits(home, good, images[0], wrong, images[1])


@pytest.fixture(scope="module")
def deployed(kits, nodes, tmp_path_factory) -> Deployed:
    (key, line), (_, other) = new_key("caller"), new_key("second")
    keys = f"{line.line}\n".encode()
    found = Deployed(
        kits,
        nodes,
        tmp_path_factory.mktemp("deployed"),
        key,
        keys,
        keys + f"{other.line}\n".encode(),
    )
    found.first = apply_to_swarm(found.workload(), keys, wish("the first"), SILENT)
    return found


@pytest.fixture
def manager(deployed) -> Iterator[Any]:
    """The manager's engine, by its SDK."""
    with closing(sdk_of(deployed.nodes.manager)) as sdk:
        yield sdk


def wish(why: str) -> Wish:
    return Wish("tester", why, datetime.now(UTC))


def now() -> Status:
    return swarm_status("rake")


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    status = now()
    raise AssertionError((status.tasks, status.update, status.waiting))


@contextmanager
def load(deployed: Deployed) -> Iterator[None]:
    """Call the deployment over its network; every request is answered."""
    sdk = sdk_of(deployed.nodes.manager)
    callers = sdk.containers.run(
        deployed.kits.good_image,
        entrypoint=["/usr/bin/python3.13", "-c", CALLERS, "rake", deployed.key],
        network="rake-network",
        detach=True,
    )
    try:
        yield
        callers.stop(timeout=int(PATIENCE_SECONDS))
        ends = json.loads(callers.logs())
        assert ends.pop("answered") > 20
        assert ends == {}
    finally:
        callers.remove(force=True)
        sdk.close()


def containers(deployed: Deployed) -> list[dict[str, Any]]:
    """The containers of the service on both nodes, as their engines describe them."""
    found = []
    for node in (deployed.nodes.manager, deployed.nodes.worker):
        with closing(sdk_of(node)) as sdk:
            labelled = {"label": "dev.mealkit.part=service", "status": "running"}
            found += [item.attrs for item in sdk.containers.list(filters=labelled)]
    return found


def secrets(deployed: Deployed) -> set[str]:
    with closing(sdk_of(deployed.nodes.manager)) as sdk:
        return {item.name for item in sdk.secrets.list()}


def test_replicas_run_on_both_nodes_and_are_confined(deployed):
    """Each has the limits of the deployment, no rights, the keys as a secret, and its own state."""
    assert deployed.first is not None
    assert (deployed.first.change, deployed.first.revision.number) == ("created", 1)
    status = now()
    assert (status.running, status.wanted) == (2, 2)
    assert sorted(status.nodes[task.node] for task in status.tasks) == ["node1", "node2"]
    found = containers(deployed)
    assert len(found) == 2
    for item in found:
        host, config = item["HostConfig"], item["Config"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] == 400 * 2**20
        assert host["PidsLimit"] == 4096
        assert host["PortBindings"] in ({}, None)
        assert config["User"] == "65532:65532"
        assert config["Image"] == deployed.kits.good_image
        assert f"HOSTILE={HOSTILE}" in config["Env"]
        assert {mount["Destination"] for mount in item["Mounts"]} == {"/tmp", "/var/lib/mealkit"}  # noqa: S108
        assert item["State"]["Health"]["Status"] == "healthy"


def test_the_same_again_changes_nothing(deployed):
    """Neither the service nor the history has anything new."""
    before = now()
    again = apply_to_swarm(deployed.workload(), deployed.keys, wish("again"), SILENT)
    assert again.change == "unchanged"
    assert [item.revision for item in now().past] == [item.revision for item in before.past]


def test_an_upgrade_under_load_is_tried_first_and_loses_no_request(deployed, manager):
    """The new revision passes its cases as a candidate; keys are replaced with it."""
    wanted = deployed.workload(**deployed.changed(), rollout={"gate": "candidate"})
    lines = swarm_difference(wanted, deployed.other_keys, datetime.now(UTC))
    assert "Env[CHANGE]: none -> 1" in lines
    assert any(line.startswith("Secrets[mealkit-keys].SecretName: rake-keys-") for line in lines)
    before = now().revision
    with load(deployed):
        applied = apply_to_swarm(wanted, deployed.other_keys, wish("more keys"), SILENT)
    assert (applied.change, applied.revision.number) == ("upgraded", before + 1)
    past = now().past
    assert [(item.revision.who, item.revision.why) for item in past[:1]] == [
        ("tester", "more keys")
    ]
    assert past[0].state == "serving"
    # The candidate, its test and their keys are gone; the keys before serve Swarm's own way back.
    assert [item.name for item in manager.services.list()] == ["rake"]
    assert len(secrets(deployed)) == 2


def test_a_revision_that_does_not_start_is_rolled_back_under_load(deployed):
    """Swarm returns to the revision before, and the owner of the cause is named."""
    before = now().revision
    bad = deployed.workload(resources={"cpu": 0.1, "memory": "24MiB"})
    with load(deployed), pytest.raises(MealkitError) as raised:
        apply_to_swarm(bad, None, wish("less memory"), SILENT)
    said, cause = raised.value.problems
    assert raised.value.exit_code == 16
    assert said.code == "ROLLOUT_FAILED"
    assert f"revision {before} answers callers" in said.message
    assert said.owner is cause.owner
    # The engine of the node may have forgotten the container that the kernel ended.
    assert cause.code in {"ENGINE_OUT_OF_MEMORY", "HOST_MEMORY"}
    assert cause.owner is Owner.PLATFORM
    assert "24.0 MiB" in f"{cause.measured} {cause.required}"
    status = now()
    assert (status.revision, status.update) == (before, "rollback_completed")
    assert status.past[0].state == "failed"
    assert status.past[0].outcome is not None
    assert status.past[0].outcome.gate == "ready"


def test_a_revision_with_a_wrong_answer_never_gets_a_request(deployed, manager):
    """The candidate's test names the case, what was measured and required, and the author."""
    before = find_service(manager, "rake")
    bad = deployed.workload(wrong=True, rollout={"gate": "candidate"})
    with pytest.raises(MealkitError) as raised:
        apply_to_swarm(bad, deployed.other_keys, wish("another version"), SILENT)
    said, cause = raised.value.problems
    assert (said.code, said.owner) == ("ROLLOUT_FAILED", Owner.KIT_AUTHOR)
    assert "did not pass the gate claims (TEST_FAILED)" in said.message
    assert cause.message.startswith("keyword-with-a-stop-word")
    assert "axis of evil" in str(said.measured)
    assert "axis of good" in str(said.required)
    after = find_service(manager, "rake")
    assert before is not None
    assert after is not None
    assert after.version == before.version
    assert [item.name for item in manager.services.list()] == ["rake"]


def test_a_rollback_under_load_returns_to_any_revision(deployed):
    """The revision becomes a new one, with the keys of now."""
    before, found = now(), partial(containers, deployed)
    with load(deployed):
        applied = roll_back_swarm("rake", 1, wish(""), SILENT)
    assert (applied.change, applied.revision.number) == (
        "rolled back",
        before.past[0].revision.number + 1,
    )
    assert applied.revision.why == "back to revision 1"
    # Those of the revision before still answer for their lame duck.
    numbers = {str(applied.revision.number)}
    wait_for(lambda: {item["Config"]["Labels"][LABEL_REVISION] for item in found()} == numbers)
    for item in found():
        assert not any(line.startswith("CHANGE=") for line in item["Config"]["Env"])
    with pytest.raises(MealkitError) as raised:
        roll_back_swarm("rake", 99, wish(""), SILENT)
    assert raised.value.problems[0].code == "CLUSTER_NOT_DEPLOYED"


def test_replicas_of_a_drained_node_move_to_the_other_one(deployed, manager):
    """Callers notice nothing, because Swarm spreads three replicas on both nodes."""
    service = find_service(manager, "rake")
    assert service is not None
    scaled = {**service.spec, "Mode": {"Replicated": {"Replicas": 3}}}
    update_service(manager, service, scaled)
    wait_for(lambda: now().running == 3)
    lines = swarm_difference(deployed.workload(), deployed.other_keys, datetime.now(UTC))
    assert "replicas: 3 -> 2" in lines
    worker = next(node for node in manager.nodes.list() if node.attrs["Spec"]["Role"] == "worker")
    assert worker.id in {task.node for task in now().tasks if task.is_running}

    def set_availability(text: str) -> None:
        worker.reload()
        worker.update({**worker.attrs["Spec"], "Availability": text})

    def is_moved() -> bool:
        running = [task for task in tasks_of(manager, "rake") if task.is_running]
        return len(running) == 3 and all(task.node != worker.id for task in running)

    with load(deployed):
        set_availability("drain")
        wait_for(is_moved)
    set_availability("active")


def test_the_command_line_shows_replicas_history_and_what_would_change(deployed):
    """The history has who wanted what and why, and the gate and the owner of what failed."""

    def mealkit(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mealkit", "deploy", *words, "--target", "swarm"]
        home = {"MEALKIT_HOME": str(deployed.kits.home.root)}
        env = {**os.environ, **home}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    deployed.workload(**deployed.changed())
    shown = mealkit("status", "rake")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("rake: revision ")
    answering, wanted = lines[1].split()[1:4:2]
    assert answering == wanted
    assert shown.returncode == 0
    rows = [line.split() for line in lines]
    assert any(row[:1] + row[2:3] == ["1", "rake:1.0.0"] for row in rows)
    if failed := [line for line in lines if " failed " in line and "rake:1.0" in line]:
        assert any("claims: TEST_FAILED (owner kit-author)" in line for line in failed)
        assert any("ready: " in line and "(owner platform)" in line for line in failed)
    differing = mealkit("diff", str(deployed.kits.good), str(deployed.folder / "deploy.yaml"))
    assert "Env[CHANGE]: none -> " in differing.stdout
    assert differing.returncode == 16
    unknown = mealkit("status", "nothing-here")
    assert unknown.returncode == 16
    assert (
        "error[CLUSTER_NOT_DEPLOYED] the swarm has no deployment 'nothing-here'" in unknown.stderr
    )


def test_a_stack_has_the_same_service(deployed, manager, tmp_path):
    """``docker stack deploy`` reads the rendered file, and makes what apply makes."""
    name = "from-stack"
    others = {
        "audit_key": {"secret": "audit", "key": "any"},
        "secrets": {"MEALKIT_USAGE_DATABASE": {"secret": "budgets", "key": "any"}},
    }
    workload = deployed.workload(name=name, replicas=0, **others)
    (tmp_path / "stack.yaml").write_text(stack_files(workload)["stack.yaml"])
    for secret in (f"{name}-keys", "audit", "budgets"):
        manager.secrets.create(name=secret, data=deployed.keys)
    command = [need("docker"), "stack", "deploy", "--compose-file", "stack.yaml", "stack"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = find_service(manager, f"stack_{name}")
    assert found is not None
    attached = attach(manager, workload, None, None, dry=True)
    revision = Revision.of(workload, 1, "", "", datetime.now(UTC))
    wanted = service_spec(workload, revision, attached)
    other = [
        line
        for line in spec_difference(found.spec, wanted, {})
        # A stack has names and labels of its own, and states platforms later.
        if not line.startswith(("Name:", "Labels", "Networks[", "Placement.Platforms"))
    ]
    # Files cannot state these two; 1777 is the engine's default for /tmp.
    assert other == [
        "Mounts[/tmp].TmpfsOptions.Mode: none -> 1023",
        "Privileges.NoNewPrivileges: none -> true",
    ]
    subprocess.run([need("docker"), "stack", "rm", "stack"], check=True, capture_output=True)


def test_the_compose_file_starts_the_kit_on_one_engine(deployed, manager, tmp_path):
    """``docker-compose`` reads the rendered file; the kit is healthy, confined, and asks for keys."""
    workload = deployed.workload(name="composed", replicas=1, publish={"port": 8765})
    (tmp_path / "compose.yaml").write_text(compose_files(workload)["compose.yaml"])
    (tmp_path / "keys.txt").write_bytes(deployed.keys)
    compose = [need("docker-compose"), "--project-name", "composed"]

    def run(*arguments: str) -> None:
        subprocess.run([*compose, *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("up", "--detach")
    try:
        labelled = {"label": "com.docker.compose.service=composed"}
        (container,) = manager.containers.list(filters=labelled)

        def is_healthy() -> bool:
            container.reload()
            return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

        wait_for(is_healthy)
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert (host["Memory"], host["PidsLimit"]) == (400 * 2**20, 4096)
        assert host["RestartPolicy"]["Name"] == "on-failure"
        assert config["StopTimeout"] == workload.stop_seconds
        assert f"HOSTILE={HOSTILE}" in config["Env"]
        status = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
        url = "http://127.0.0.1:8765/v1/models"
        node = deployed.nodes.manager
        assert node.run(*status, url) == "401"
        assert node.run(*status, "-H", f"Authorization: Bearer {deployed.key}", url) == "200"
    finally:
        run("down", "--volumes", "--timeout", "1")
