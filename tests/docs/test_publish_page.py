"""docs/how-to/publish-to-a-registry.md carried out: every command succeeds, in its order."""

import pytest
from fakes.how_to import Shell, commands_in
from fakes.little import OFFLINE, little_kit
from fakes.quirky_registry import QuirkyRegistry
from stores.registry.conftest import HTPASSWD, PASSWORD, USER, RegistryProcess


@pytest.fixture
def mirror():
    """A registry with the referrers API."""
    server = QuirkyRegistry()
    server.has_referrers = True
    yield server
    server.close()


@pytest.fixture
def guarded(tmp_path):
    """The real docker-registry, with a password."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    server = RegistryProcess(folder, auth).start()
    yield server
    server.kill()


def test_every_command_of_the_page(tmp_path, monkeypatch, guarded, mirror):
    """Logging in, pushing, pulling, copying, listing and removing work as the page says."""
    monkeypatch.chdir(tmp_path)
    little_kit(tmp_path / "my-kit", name="my-kit")
    (tmp_path / "token.txt").write_text(f"{PASSWORD}\n")
    own = {"MEALKIT_HOME": str(tmp_path / "home"), "DOCKER_CONFIG": str(tmp_path / "docker")}
    shell = Shell({**OFFLINE, **own})
    shell.run("mealkit --quiet lock my-kit")
    printed = []
    for line in commands_in("how-to/publish-to-a-registry.md"):
        here = line.replace("registry.example.org", guarded.host)
        here = here.replace("mirror.example.net", mirror.host).replace(" ci ", f" {USER} ")
        printed.append(shell.run(here))
    assert any(text.splitlines() == ["1.0.0-lean", "1.0.0", "latest"] for text in printed)
    assert not mirror.manifests
    assert PASSWORD not in "".join(printed)
