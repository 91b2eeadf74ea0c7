"""The page about fleets: its files work as they are written, and its commands run."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.how_to import file_in
from fakes.little import little_base
from fakes.served import ROOT
from stores.registry.conftest import RegistryProcess

from mealkit.oci.reference import Reference
from mealkit.stores.registry.engine_mirrors import EngineMirrors
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries

PAGE = "how-to/serve-a-fleet.md"
REGISTRY = "registry.example.org"


def write_hosts(folder: Path, registry: str, text: str) -> Path:
    file = folder / "certs.d" / registry / "hosts.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return folder / "certs.d"


@pytest.mark.parametrize("first_line", ["# hosts.toml", "# Spegel's hosts.toml"])
def test_the_mirrors_of_the_page_are_used(tmp_path, first_line):
    """Its files give one mirror, which also resolves tags."""
    place = write_hosts(tmp_path, REGISTRY, file_in(PAGE, first_line))
    found = EngineMirrors((place,)).of(REGISTRY, frozenset())
    (mirror,) = found.endpoints
    assert mirror.resolves
    assert mirror.namespace == REGISTRY
    assert found.unused == ()


def test_dragonfly_is_told_which_registry_is_meant(tmp_path):
    """Its header is sent to its daemon."""
    place = write_hosts(tmp_path, REGISTRY, file_in(PAGE, "# Dragonfly's hosts.toml"))
    (mirror,) = EngineMirrors((place,)).of(REGISTRY, frozenset()).endpoints
    assert mirror.headers == (("X-Dragonfly-Registry", f"https://{REGISTRY}"),)


def test_the_cache_of_the_page_serves_the_second_server(tmp_path, monkeypatch):
    """After one pull, the next needs nothing of the registry, which may be gone."""
    page = (ROOT / "docs" / PAGE).read_text()
    origin = RegistryProcess(tmp_path / "origin").start()
    cache = RegistryProcess(tmp_path / "cache")
    try:
        with Registries.from_environment() as registries:
            push(little_base(), Reference(origin.host, "team/my-kit", "1.0.0"), registries)
        text = file_in(PAGE, "# cache.yml").replace(f"https://{REGISTRY}", f"http://{origin.host}")
        text = text.replace("127.0.0.1:5001", cache.host)
        (cache.folder / "config.yml").write_text(
            text.replace("/var/lib/cache", str(cache.folder / "data"))
        )
        assert "$ docker-registry serve cache.yml" in page
        cache.start()
        text = file_in(PAGE, "# hosts.toml").replace("127.0.0.1:5001", cache.host)
        place = write_hosts(tmp_path, origin.host, text)
        monkeypatch.setenv("MEALKIT_ENGINE_MIRRORS", str(place))
        (command,) = re.findall(r"^\$ mealkit (pull .*)$", page, re.MULTILINE)
        words = command.replace(REGISTRY, origin.host).split()
        for server in ("first", "second"):
            subprocess.run(
                [sys.executable, "-m", "mealkit", "--home", tmp_path / server, *words], check=True
            )
            for layer in little_base().layers:
                while not cache.blob_path(layer.blob.digest).exists():
                    time.sleep(0.02)  # it keeps what it passed on a moment later
            origin.kill()
    finally:
        origin.kill()
        cache.kill()
