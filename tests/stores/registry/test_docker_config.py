"""Credentials are written as docker writes them, and read back by what reads docker's files."""

import base64
import json
import os
import stat
import threading

import pytest

from mealkit.errors import MealkitError
from mealkit.stores.registry.credentials import Credential, Credentials
from mealkit.stores.registry.docker_config import DockerConfig

SECRET = "not-a-real-secret"
COOK = Credential("cook", SECRET)
HELPER = """#!/bin/sh
# Keeps what it is given in a file, as docker-credential-pass would.
file="$(dirname "$0")/kept-$1.json"
cat > "$file"
[ "$1" = fail ] && exit 1
exit 0
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "bin").mkdir()
    path = tmp_path / "docker" / "config.json"
    return DockerConfig(path, tmp_path / "lock", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def write(config, form):
    config.path.parent.mkdir(exist_ok=True)
    config.path.write_text(json.dumps(form))


def form_of(config):
    return json.loads(config.path.read_text())


def test_a_new_file_is_the_users_alone_and_read_back(config):
    """The entry is docker's base64 of name and password; nobody else may read the file."""
    assert config.save("registry.example.org:5000", COOK) == str(config.path)
    entry = form_of(config)["auths"]["registry.example.org:5000"]
    assert base64.b64decode(entry["auth"]).decode() == f"cook:{SECRET}"
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o600
    assert Credentials((config.path,)).lookup("registry.example.org:5000") == COOK
    assert [item.name for item in config.path.parent.iterdir()] == ["config.json"]


def test_other_fields_and_registries_stay(config):
    """What docker and its plugins keep in the file is not lost, on login and on logout."""
    others = {
        "proxies": {"default": {"httpProxy": "p"}},
        "currentContext": "x",
        "plugins": {"a": {}},
    }
    write(config, others | {"auths": {"other.example.org": {"auth": "YTpi", "email": "e"}}})
    config.path.chmod(0o644)
    config.save("registry.example.org", COOK)
    assert form_of(config)["auths"]["other.example.org"] == {"auth": "YTpi", "email": "e"}
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o600
    assert config.erase("registry.example.org")
    assert not config.erase("registry.example.org")
    assert form_of(config) == others | {
        "auths": {"other.example.org": {"auth": "YTpi", "email": "e"}}
    }


def test_docker_hub_and_other_spellings_are_one_registry(config):
    """Docker Hub has docker's own key; an older spelling does not hide the new password."""
    write(config, {"auths": {"https://registry.example.org/v1/": {"auth": "b2xkOm9sZA=="}}})
    config.save("docker.io", COOK)
    config.save("registry.example.org", COOK)
    assert set(form_of(config)["auths"]) == {"https://index.docker.io/v1/", "registry.example.org"}
    assert Credentials((config.path,)).lookup("docker.io") == COOK


def helper(config, name="kitchen"):
    path = config.lock.parent / "bin" / f"docker-credential-{name}"
    path.write_text(HELPER)
    path.chmod(0o755)
    return path.parent


@pytest.mark.parametrize("field", ["credsStore", "credHelpers"])
def test_a_credential_helper_gets_the_secret_by_its_standard_input(config, field):
    """The file then has no secret; logout tells the helper."""
    value = "kitchen" if field == "credsStore" else {"registry.example.org": "kitchen"}
    write(config, {field: value})
    folder = helper(config)
    assert config.save("registry.example.org", COOK) == "docker-credential-kitchen"
    form = {"ServerURL": "registry.example.org", "Username": "cook", "Secret": SECRET}
    assert json.loads((folder / "kept-store.json").read_text()) == form
    assert SECRET not in config.path.read_text()
    config.erase("registry.example.org")
    assert "registry.example.org" in (folder / "kept-erase.json").read_text()


def test_a_helper_that_is_missing_is_a_problem_without_the_secret(config):
    """Nothing is written in plain text instead."""
    write(config, {"credsStore": "absent"})
    with pytest.raises(MealkitError, match="docker-credential-absent is not on PATH") as caught:
        config.save("registry.example.org", COOK)
    assert SECRET not in str(caught.value)
    assert form_of(config) == {"credsStore": "absent"}


def test_a_helper_that_fails_is_a_problem_without_the_secret(config):
    """Its own words are not printed: they may have the secret."""
    write(config, {"credsStore": "kitchen"})
    program = helper(config) / "docker-credential-kitchen"
    program.write_text("#!/bin/sh\ncat; exit 3\n")
    with pytest.raises(MealkitError, match="store ended with 3") as caught:
        config.save("registry.example.org", COOK)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_not_overwritten(config):
    """A broken file stays as it is."""
    config.path.parent.mkdir()
    config.path.write_text("{not json")
    with pytest.raises(MealkitError) as caught:
        config.save("registry.example.org", COOK)
    assert caught.value.problems[0].code == "REGISTRY_DENIED"
    assert config.path.read_text() == "{not json"


def test_a_link_stays_a_link(config, tmp_path):
    """Managed home folders link the file to another place."""
    real = tmp_path / "real.json"
    real.write_text("{}")
    config.path.parent.mkdir()
    config.path.symlink_to(real)
    config.save("registry.example.org", COOK)
    assert config.path.is_symlink()
    assert "registry.example.org" in json.loads(real.read_text())["auths"]


def test_logins_at_once_lose_nothing(config):
    """Eight logins to eight registries at the same time are all kept."""
    names = [f"registry{number}.example.org" for number in range(8)]
    threads = [threading.Thread(target=config.save, args=(name, COOK)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(form_of(config)["auths"]) == set(names)


def test_the_first_file_that_is_read_is_the_one_that_is_written(tmp_path):
    """REGISTRY_AUTH_FILE is podman's; without it, the file is docker's."""
    lock = tmp_path / "lock"
    named = {"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    assert DockerConfig.from_environment(lock, named).path == tmp_path / "auth.json"
    plain = {"HOME": str(tmp_path)}
    assert DockerConfig.from_environment(lock, plain).path == tmp_path / ".docker" / "config.json"
