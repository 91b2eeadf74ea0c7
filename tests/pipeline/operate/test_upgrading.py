"""Upgrades and rollbacks on a machine whose containers and front are files."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.deployed import (
    FileClient,
    FileFront,
    ReadyServer,
    file_site,
    ready_server,
    up_request,
)
from fakes.little import OFFLINE, Heard, edit_kit, little_kit

from mealkit.acceptance.target import SilentListener
from mealkit.containers.front_control import Totals
from mealkit.deploy.deployment import Gate, GateResult, Settings, State
from mealkit.deploy.deployment_history import EventKind
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import DeploymentError, KitError, MealkitError, Owner
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.upgrading import (
    Changed,
    RollbackRequest,
    UpRequest,
    down,
    repaired,
    rollback,
    up,
)
from mealkit.progress import SILENT
from mealkit.recipe.operations import Operations
from mealkit.runtime.gateway.keys import new_key

pytestmark = pytest.mark.xdist_group("deployments")

KIT_PORT = 8000
"""The port in the little kit."""


@pytest.fixture(scope="module")
def versions(tmp_path_factory) -> tuple[Path, list[str]]:
    """A store with three versions of a little kit, by their names."""
    folder = tmp_path_factory.mktemp("built")
    home = home_at(folder / "home")
    names = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit", weights_bytes=1600)
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            edit_kit(kit, lambda form, version=version: form.update(version=version))
            build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=SILENT)
            names.append(f"little:{version}")
    return home.root, names


@pytest.fixture(scope="module")
def server() -> Iterator[ReadyServer]:
    with ready_server() as found:
        yield found


class Web:
    """The deployment "web" on a machine of files."""

    def __init__(self, home: Path, server: ReadyServer) -> None:
        self.home, self.server = home, server
        self.heard = Heard()
        self.site: Site = file_site(home, server.port, self.heard)
        self.front = FileFront(home / "fake-front" / "web")
        self.files = DeploymentFiles(self.site.home, "web")

    @property
    def client(self) -> FileClient:
        found = self.site.clients[0]
        assert isinstance(found, FileClient)
        return found

    def up(self, target: str, **more: object) -> Changed:
        return self.do(up_request(target, **more))

    def do(self, request: UpRequest) -> Changed:
        return up(request, self.site, SilentListener())

    def kinds(self) -> list[EventKind]:
        return [item.kind for item in self.files.events()]


@pytest.fixture
def web(versions, server, tmp_path) -> Web:
    """A home of its own, with the store of all tests."""
    root, _ = versions
    home = home_at(tmp_path / "home").root
    for name in ("store", "files", "roots"):
        (root / name).mkdir(exist_ok=True)
        (home / name).symlink_to(root / name)
    server.status = 200
    return Web(home, server)


def test_an_upgrade_keeps_the_revision_before_and_a_rollback_starts_it_again(web, versions):
    """Only one revision runs at the end; the history says who, when, why and what."""
    _, (first, second, _) = versions
    web.up(first, reason="the first")
    changed = web.up(second, reason="better")
    assert changed.deployment.serving == 2
    assert web.front.container == "web-r2"
    assert web.client.running() == {"web-r2"}
    assert web.client.state("web-r2").labels["restart"] == "unless-stopped"
    back = rollback(RollbackRequest("web", reason="worse"), web.site)
    assert back.deployment.serving == 1
    assert web.client.running() == {web.front.container} == {"web-r1"}
    events = web.files.events()
    assert [item.kind for item in events] == ["asked", "moved", "serves"] * 3
    assert [item.reason for item in events[::3]] == ["the first", "better", "worse"]
    assert events[-1].kit == first


def test_the_same_image_again_changes_nothing(web, versions):
    """A script may call up as often as it likes; another restart policy needs no new revision."""
    _, (first, _, _) = versions
    web.up(first)
    assert not web.up(first).did
    assert web.up(first, restart="always").did
    assert web.client.state("web-r1").labels["restart"] == "always"
    assert web.files.required().next_number == 2


def test_a_port_that_another_program_has_leaves_the_deployment_where_it_is(web, versions):
    """The preflight names the port before anything is done; the front also gets its port back."""
    _, (first, second, _) = versions
    web.up(first)
    with socket.create_server(("127.0.0.1", 0)) as other:
        for target in (first, second):
            with pytest.raises(MealkitError) as caught:
                web.up(target, port=other.getsockname()[1])
            assert caught.value.problems[0].code == "PORT_TAKEN"
    web.front.take_port(18001)
    for target, serving in ((first, 1), (second, 2)):
        with pytest.raises(MealkitError) as caught:
            web.up(target, port=18001)
        assert caught.value.problems[0].code == "PORT_TAKEN"
        assert web.front.port == "18000"
        assert web.front.container == f"web-r{serving}"
        assert (web.files.required().port, web.files.required().serving) == (18000, serving)
    web.up(second, port=18002)
    assert web.front.port == "18002"


def test_an_upgrade_that_goes_back_leaves_the_port(web, versions):
    """Callers of the old address are not the ones who pay for a revision that does not start."""
    _, (first, second, _) = versions
    web.up(first)
    web.server.status = 503
    with pytest.raises(DeploymentError):
        web.up(second, timeout_seconds=1, port=18001)
    assert web.front.port == "18000"
    assert web.files.required().port == 18000


def test_a_deployment_that_is_down_comes_back_at_its_port(web, versions):
    """Whether the kit's own port is free does not matter to a deployment with another one."""
    _, (first, _, _) = versions
    web.up(first)
    down("web", web.site, purge=False, wait=False)
    with ExitStack() as stack:
        with suppress(OSError):  # a program that has it already does as well
            stack.enter_context(socket.create_server(("127.0.0.1", KIT_PORT)))
        web.up(first, port=None)
    assert web.front.port == "18000"


def test_an_upgrade_keeps_what_protects_the_revision_before(web, versions, tmp_path):
    """Keys, origins and ops stay, unless they are stated anew or the command asks for none."""
    _, (first, second, third) = versions
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{new_key('ana')[1].line}\n")
    ops = Operations.model_validate({"audit": {}})
    web.up(first, keys=keys, ops=ops, origins=("https://example.org",))
    kept = web.up(second).revision
    assert kept.settings == web.files.required().revision(1).settings
    assert kept.settings.keys == str(keys)
    assert kept.settings.ops == ops
    assert not web.up(second).did
    fresh = web.up(third, inherits=False).revision
    assert fresh.settings == Settings()


def test_a_revision_that_does_not_become_ready_never_gets_traffic(web, versions):
    """The gate is readiness, with what was measured; the one before goes on, also as it was."""
    _, (first, second, _) = versions
    web.up(first)
    web.server.status = 503
    with pytest.raises(DeploymentError) as caught:
        web.up(second, timeout_seconds=1)
    problem, cause = caught.value.problems
    assert (problem.code, problem.owner) == ("DEPLOYMENT_GATE", Owner.PLATFORM)
    assert "the gate readiness" in problem.message
    assert "revision 1 has the traffic" in problem.message
    assert cause.code == "CONTAINER_TIMEOUT"
    assert web.front.container == "web-r1"
    assert [item.name for item in web.client.list()] == ["web-r1"]
    found = web.files.required()
    assert (found.serving, found.revision(2).state) == (1, State.FAILED)
    assert web.kinds()[-2:] == [EventKind.ASKED, EventKind.ROLLED_BACK]


def test_a_first_revision_that_fails_leaves_nothing_behind(web, versions):
    """Neither a container nor a front stays; the next one begins anew."""
    _, (first, _, _) = versions
    web.server.status = 503
    with pytest.raises(DeploymentError, match="no revision has the traffic"):
        web.up(first, timeout_seconds=1)
    assert not web.client.list()
    assert not (web.front.folder / "runs").exists()
    assert web.kinds() == [EventKind.ASKED, EventKind.FAILED]
    web.server.status = 200
    assert web.up(first).deployment.serving == 2


def totals(good: int, bad: int = 0, seconds: float = 0.01, refused: int = 0) -> Totals:
    return Totals((0, good, 0, refused, bad), 0, 0, 0, seconds, seconds)


@pytest.mark.parametrize(
    ("after", "measured", "required"),
    [
        pytest.param(totals(97, bad=3), "3.0% (3 of 100)", "at most 1.5% (0.5% before)", id="5xx"),
        pytest.param(
            totals(90, refused=10), "10.0% (10 of 100)", "at most 1.0% (0.0% before)", id="4xx"
        ),
        pytest.param(
            totals(50, seconds=0.05),
            "50.0 ms on average (50 answers)",
            "at most 20.0 ms (10.0 ms before)",
            id="slow",
        ),
    ],
)
def test_a_revision_that_is_worse_than_the_one_before_loses_the_traffic(
    web, versions, after, measured, required
):
    """The watch period compares errors, refusals and latency, and goes back by itself."""
    _, (first, second, _) = versions
    web.up(first)
    web.front.count("web-r1", totals(199, bad=1))

    def answer(phase: str) -> None:
        if phase.startswith("watching"):
            web.front.count("web-r2", after)

    web.site = replace(web.site, progress=Heard(answer))
    with pytest.raises(DeploymentError) as caught:
        web.up(second, watch=WatchLimits(seconds=30))
    problem = caught.value.problems[0]
    assert "the gate watch" in problem.message
    assert (problem.measured, problem.required) == (measured, required)
    assert web.client.running() == {web.front.container} == {"web-r1"}


def test_a_good_revision_passes_the_watch_period(web, versions):
    """As many errors as before, or so few that they say nothing, do not go back."""
    _, (first, second, _) = versions
    web.up(first)
    web.front.count("web-r1", totals(200))
    web.front.count("web-r2", totals(100, bad=2))
    changed = web.up(second, watch=WatchLimits(seconds=0.1))
    assert changed.revision is not None
    assert changed.revision.gates[-1].passed
    assert changed.deployment.serving == 2


def test_a_revision_that_the_engine_starts_again_loses_the_traffic(web, versions):
    """A crash that nobody asked anything during counts too: the restart policy would hide it."""
    _, (first, second, _) = versions
    web.up(first)

    def crash(phase: str) -> None:
        if phase.startswith("watching"):
            web.client.start_again("web-r2")

    web.site = replace(web.site, progress=Heard(crash))
    with pytest.raises(DeploymentError, match="started again 1 times"):
        web.up(second, watch=WatchLimits(seconds=30))
    assert web.front.container == "web-r1"


def test_claims_that_do_not_hold_stop_an_upgrade(web, versions):
    """What the tester measured is in the problem, in the revision and in the history."""
    _, (first, _, _) = versions
    web.up(first)
    failed = GateResult(
        gate=Gate.CLAIMS,
        passed=False,
        reason="a case fails",
        measured="2",
        required="1",
        owner=Owner.KIT_AUTHOR,
    )
    from mealkit.deploy.deployment import Verb  # noqa: PLC0415
    from mealkit.deploy.upgrade import begun  # noqa: PLC0415
    from mealkit.pipeline.operate.changing import Changing, Options  # noqa: PLC0415

    found = web.files.required()
    new = found.revision(1).model_copy(update={"number": 2})
    started = begun(found.with_revision(new), Verb.UP, 2, stops_first=False)
    options = Options(tester=lambda _: ((), failed))
    with pytest.raises(DeploymentError) as caught:
        Changing(web.site.ground(found), web.files, options).run(started)
    assert caught.value.problems[0].measured == "2"
    assert web.files.events()[-1].gate == failed
    assert web.files.required().revision(2).failed_gate == failed
    assert web.front.container == "web-r1"


def test_an_interrupted_command_goes_back_by_itself(web, versions):
    """Ctrl-C while a revision starts removes it; the gate is named in the history."""
    _, (first, second, _) = versions
    web.up(first)

    def interrupt(phase: str) -> None:
        if phase.startswith("revision 2 of web is ready"):
            raise KeyboardInterrupt

    web.site = replace(web.site, progress=Heard(interrupt))
    with pytest.raises(DeploymentError, match="the gate interruption"):
        web.up(second)
    assert web.client.running() == {web.front.container} == {"web-r1"}


@pytest.mark.parametrize("is_good", [True, False])
def test_a_revision_that_does_not_fit_beside_the_old_one_starts_after_it(web, versions, is_good):
    """The old one stops first, which is said; if the new one fails, the old one starts again."""
    _, (first, second, _) = versions
    web.up(first)
    at_start: list[tuple[set[str], str | None]] = []

    def look(phase: str) -> None:
        if phase.startswith("starting revision 2"):
            at_start.append((web.client.running(), web.front.target))
            web.server.status = 200 if is_good else 503
        if phase.startswith("gate"):
            web.server.status = 200

    web.site = replace(web.site, progress=Heard(look))
    try:
        web.up(second, stops_first=True, timeout_seconds=1)
    except DeploymentError:
        assert not is_good
    assert at_start == [(set(), None)]
    serving = "web-r2" if is_good else "web-r1"
    assert web.client.running() == {web.front.container} == {serving}
    assert EventKind.STOPPED_FIRST in web.kinds()


def test_two_commands_do_not_change_a_deployment_at_once(web, versions):
    """The second says who is at work, or waits if it is asked to."""
    _, (first, second, _) = versions
    reached, go_on = threading.Event(), threading.Event()

    def pause(phase: str) -> None:
        if phase.startswith("starting revision 1"):
            reached.set()
            go_on.wait(20)

    slow = replace(web.site, progress=Heard(pause))
    thread = threading.Thread(target=up, args=(up_request(first), slow, SilentListener()))
    thread.start()
    reached.wait(20)
    with pytest.raises(DeploymentError, match=r"DEPLOYMENT_BUSY.*mealkit up web"):
        web.up(second)
    waiting = replace(web.site, progress=Heard(lambda phase: "waiting" in phase and go_on.set()))
    up(up_request(second, wait=True), waiting, SilentListener())
    thread.join()
    assert web.files.required().serving == 2
    assert web.front.container == "web-r2"


def test_a_restart_of_the_machine_in_the_middle_is_repaired(web, versions):
    """Nothing runs any more: the revision that had the traffic is started and has it again."""
    _, (first, second, _) = versions
    web.up(first)

    def die(phase: str) -> None:
        if phase.startswith("revision 2 of web is ready"):
            raise SystemExit

    with pytest.raises(SystemExit):
        up(up_request(second), replace(web.site, progress=Heard(die)), SilentListener())
    for name in web.client.running():
        web.client.stop(name, 0)
    found = repaired("web", web.site)
    assert (found.serving, found.change) == (1, None)
    assert found.revision(2).state is State.FAILED
    assert web.client.running() == {web.front.container} == {"web-r1"}
    web.client.remove("web-r1")
    assert repaired("web", web.site).serving == 1
    assert web.client.running() == {"web-r1"}
    assert web.kinds()[-1] is EventKind.REPAIRED


def test_only_kept_revisions_can_be_gone_back_to(web, versions):
    """Failed and removed ones are refused by name, and three are kept."""
    _, names = versions
    with pytest.raises(DeploymentError, match="DEPLOYMENT_NOT_FOUND"):
        rollback(RollbackRequest("web"), web.site)
    for name in (*names, *names):
        web.up(name)
    states = [item.state for item in web.files.required().revisions]
    assert states == [State.REMOVED] * 2 + [State.KEPT] * 3 + [State.SERVING]
    assert {item.name for item in web.client.list()} == {"web-r3", "web-r4", "web-r5", "web-r6"}
    with pytest.raises(DeploymentError, match=r"revision 1 of web is removed"):
        rollback(RollbackRequest("web", 1), web.site)
    with pytest.raises(DeploymentError, match=r"has no revision 9"):
        rollback(RollbackRequest("web", 9), web.site)
    assert not rollback(RollbackRequest("web", 6), web.site).did


def test_down_removes_containers_and_address_and_keeps_the_history(web, versions):
    """A later up goes on counting; with purge nothing is left."""
    _, (first, second, _) = versions
    web.up(first)
    web.up(second)
    down("web", web.site, purge=False, wait=False)
    assert not web.client.list()
    assert web.front.target is None
    assert web.kinds()[-1] is EventKind.DOWN
    assert web.up(first).deployment.serving == 3
    down("web", web.site, purge=True, wait=False)
    assert not web.files.folder.exists()


def test_a_container_of_the_same_name_that_is_not_the_deployments_is_left_alone(web, versions):
    """The gate names it; it is neither stopped nor removed."""
    _, (first, second, _) = versions
    web.up(first)
    other = replace(web.client.state("web-r1"), name="web-r2", labels={})
    web.client._write(other)
    with pytest.raises(DeploymentError, match="web-r2 is a container that was started otherwise"):
        web.up(second)
    assert "web-r2" in web.client.running()


def test_a_deployment_of_another_home_is_not_touched(web, versions):
    """Two homes may use one engine; the second is told which home has the name."""
    _, (first, second, _) = versions
    web.up(first)
    other = replace(web.site, home=home_at(web.home.parent / "other"))
    (other.home.root / "store").symlink_to(web.home / "store")
    with pytest.raises(MealkitError, match=r"web-r1 is of a deployment web that another home has"):
        up(up_request(second), other, SilentListener())
    assert web.client.running() == {web.front.container} == {"web-r1"}


@pytest.mark.parametrize("name", ["", "Web", "a/b", "..", "a" * 49, "web-"])
def test_a_name_that_is_not_one_is_refused(web, name):
    """It would be part of the names of folders, networks and containers."""
    with pytest.raises(KitError, match="cannot name a deployment"):
        web.do(replace(up_request("little:1.0.0"), name=name))


def test_what_the_machine_refuses_is_in_the_history(web, versions):
    """An image that does not exist starts nothing, and the history says why."""
    _, (first, _, _) = versions
    web.up(first)
    with pytest.raises(MealkitError):
        web.up("little:9.9.9")
    assert web.kinds()[-1] is EventKind.UNFIT
    assert web.front.container == "web-r1"
