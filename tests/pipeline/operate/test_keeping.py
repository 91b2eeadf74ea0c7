"""What stays with a deployment where no engine does: the loop of status --keep, and its unit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.test_deployment import WHOLE
from fakes.deployed import FileClient, ReadyServer, file_site, ready_server, up_request
from fakes.little import OFFLINE, Heard, little_kit

from mealkit.acceptance.target import SilentListener
from mealkit.errors import KitError
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.home import home_at
from mealkit.pipeline.operate.boot_units import remove_unit, require_restart, set_unit
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.keeping import keep
from mealkit.pipeline.operate.upgrading import down, up

pytestmark = pytest.mark.xdist_group("deployments")


@pytest.fixture(scope="module")
def server() -> Iterator[ReadyServer]:
    with ready_server() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory, server) -> Site:
    """A machine of files, on which a deployment is up."""
    folder = tmp_path_factory.mktemp("kept")
    found = file_site(home_at(folder / "home").root, server.port)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit", weights_bytes=1600)
        up(up_request(str(kit)), found, SilentListener())
    return found


def client_of(site: Site) -> FileClient:
    found = site.clients[0]
    assert isinstance(found, FileClient)
    return found


def test_what_ended_is_started_again_until_the_deployment_is_down(site):
    """A failure is told, and what follows is tried after a longer while."""
    client, pauses = client_of(site), []
    client.stop("web-r1", 0)
    file = DeploymentFiles(site.home, "web").folder / "deployment.json"
    kept = file.read_bytes()

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        match len(pauses):
            case 1:
                assert client.running() == {"web-r1"}
                file.write_bytes(b"{")
            case 3:
                file.write_bytes(kept)
            case 4:
                down("web", site, purge=False, wait=False)
        return False

    keep("web", site, wait)
    assert pauses == [5, 10, 20, 5]
    assert client.running() == set()


SANDBOX = WHOLE.model_copy(update={"client": "sandbox"})


@pytest.fixture
def units(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # No systemd of a user answers here.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return tmp_path / "config" / "systemd" / "user"


def test_a_deployment_that_starts_with_the_machine_has_a_unit(units, tmp_path):
    """It is written once, the command to enable it is told, and down removes it."""
    home, heard = home_at(tmp_path / "home"), Heard()
    set_unit(SANDBOX, home, heard)
    text = (units / "mealkit-web.service").read_text()
    assert f"--home {home.root} status web --keep" in text
    assert "systemctl --user enable --now mealkit-web.service" in "".join(heard.phases)
    told = len(heard.phases)
    set_unit(SANDBOX, home, heard)
    assert len(heard.phases) == told
    for policy in ("no", "on-failure"):
        set_unit(SANDBOX, home, heard)
        set_unit(SANDBOX.model_copy(update={"restart": policy}), home, heard)
        assert not list(units.iterdir())
    set_unit(SANDBOX, home, heard)
    remove_unit(SANDBOX)
    assert not list(units.iterdir())


def test_a_deployment_of_an_engine_needs_no_unit(units, tmp_path):
    """Docker starts its containers itself."""
    set_unit(WHOLE, home_at(tmp_path / "home"), Heard())
    assert not units.exists()


def test_the_unit_of_a_deployment_in_another_home_is_left_alone(units, tmp_path):
    """Neither up nor down of one deployment touches it."""
    other = SANDBOX.model_copy(update={"id": "f" * 16})
    set_unit(other, home_at(tmp_path / "other"), Heard())
    before = (units / "mealkit-web.service").read_text()
    set_unit(SANDBOX, home_at(tmp_path / "home"), Heard())
    remove_unit(SANDBOX)
    assert (units / "mealkit-web.service").read_text() == before


def test_the_sandbox_cannot_restart_after_a_failure_alone():
    """A policy that cannot be kept is refused before anything starts."""
    with pytest.raises(KitError, match="on-failure"):
        require_restart("sandbox", "on-failure")
    require_restart("docker", "on-failure")
