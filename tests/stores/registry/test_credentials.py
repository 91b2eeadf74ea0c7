import base64
import json
import os

import pytest

from mealkit.errors import MealkitError
from mealkit.stores.registry.credentials import Credentials

AUTH = base64.b64encode(b"cook:se:cret").decode()


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".docker").mkdir()
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def environment(home):
    return {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin"}


def write(home, config):
    (home / ".docker" / "config.json").write_text(json.dumps(config))


def helper(home, name, script):
    path = home / "bin" / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "key", ["r.example:5000", "https://r.example:5000", "https://r.example:5000/v1/"]
)
def test_auths_are_found_under_every_spelling(home, environment, key):
    """An entry of auths is found with and without scheme and path; the password may hold colons."""
    write(home, {"auths": {key: {"auth": AUTH}}})
    found = Credentials.from_environment(environment).lookup("r.example:5000", "a/b")
    assert (found.username, found.password) == ("cook", "se:cret")


def test_the_hub_has_its_own_key(home, environment):
    """docker writes the Hub's login under an address of its own."""
    write(home, {"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}})
    assert Credentials.from_environment(environment).lookup("docker.io").username == "cook"


def test_no_files_mean_no_credentials(tmp_path):
    """Without any file there is no credential and no problem."""
    assert Credentials.from_environment({"HOME": str(tmp_path)}).lookup("r.example") is None


def test_docker_config_names_the_folder(home, environment, tmp_path):
    """DOCKER_CONFIG is used instead of the home's folder."""
    write(home, {"auths": {"r.example": {"auth": AUTH}}})
    (tmp_path / "other").mkdir()
    found = Credentials.from_environment(environment | {"DOCKER_CONFIG": str(tmp_path / "other")})
    assert found.lookup("r.example") is None


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"DOCKER_CONFIG": ""}, ".docker/config.json"),
        ({}, ".config/containers/auth.json"),
        ({"XDG_CONFIG_HOME": "{home}/settings"}, "settings/containers/auth.json"),
        ({"XDG_RUNTIME_DIR": "{home}/run"}, "run/containers/auth.json"),
        ({"XDG_RUNTIME_DIR": "{home}/run"}, ".config/containers/auth.json"),
    ],
)
def test_the_places_of_docker_and_podman_are_read(home, environment, more, place):
    """An empty variable counts as none; podman's places are read beside docker's."""
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {"r.example": {"auth": AUTH}}}))
    named = {name: text.format(home=home) for name, text in more.items()}
    found = Credentials.from_environment(environment | named).lookup("r.example")
    assert found.username == "cook"


def test_podman_without_a_session_writes_below_run(environment):
    """Servers, cron and CI have no XDG_RUNTIME_DIR: containers-auth.json(5)."""
    files = Credentials.from_environment(environment)._files
    assert f"/run/containers/{os.getuid()}/auth.json" in map(str, files)


def test_podmans_file_comes_first_and_knows_repositories(home, environment, tmp_path):
    """In podman's file the longest name that has an entry wins."""
    write(home, {"auths": {"r.example": {"auth": AUTH}}})
    one = {"username": "one", "password": "1"}
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"r.example/team": one}}))
    named = environment | {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    found = Credentials.from_environment(named)
    assert found.lookup("r.example", "team/kit").username == "one"
    assert found.lookup("r.example", "other/kit").username == "cook"


def test_identity_tokens_are_found(home, environment):
    """An entry with an identity token gives it."""
    entry = {"auth": base64.b64encode(b"cook:").decode(), "identitytoken": "it"}
    write(home, {"auths": {"r.example": entry}})
    assert Credentials.from_environment(environment).lookup("r.example").identity_token == "it"


def test_a_helper_is_asked_once_with_the_servers_name(home, environment):
    """credHelpers' program gets the server's name on its standard input."""
    helper(
        home, "x", f'read s; echo "$1 $s" >> {home}/asked; echo \'{{"Username":"u","Secret":"s"}}\''
    )
    write(home, {"credHelpers": {"r.example": "x"}})
    credentials = Credentials.from_environment(environment)
    assert [credentials.lookup("r.example").password for _ in range(3)] == ["s"] * 3
    assert (home / "asked").read_text() == "get r.example\n"


def test_the_store_is_asked_for_every_registry(home, environment):
    """credsStore serves all registries; <token> as a name means an identity token."""
    helper(home, "all", 'echo \'{"Username":"<token>","Secret":"it"}\'')
    write(home, {"credsStore": "all"})
    assert Credentials.from_environment(environment).lookup("r.example").identity_token == "it"


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo credentials not found in native keychain; exit 1", None),
        ('echo \'{"ServerURL":"","Username":"","Secret":""}\'', None),
        ("echo the keychain is locked: s3cret; exit 1", "docker-credential-x ended with 1"),
        ("echo s3cret", "the answer of docker-credential-x does not follow its protocol"),
        (None, "docker-credential-x is not on PATH"),
    ],
)
def test_a_helper_that_fails_leaves_public_images_readable(home, environment, script, trouble):
    """A missing or failing helper is no credential, is remembered, and is not quoted."""
    if script:
        helper(home, "x", script)
    write(home, {"credHelpers": {"r.example": "x"}})
    credentials = Credentials.from_environment(environment)
    assert credentials.lookup("r.example") is None
    assert credentials.troubles == ([trouble] if trouble else [])


def test_a_broken_file_is_named_and_not_quoted(home, environment):
    """A credential file that is not JSON is a problem that names it and quotes nothing."""
    (home / ".docker" / "config.json").write_text('{"auths": {"r.example": {"auth": "s3cret"')
    with pytest.raises(MealkitError) as caught:
        Credentials.from_environment(environment).lookup("r.example")
    assert caught.value.problems[0].where.endswith(".docker/config.json")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("entry", [{}, {"auth": "%%%"}, {"auth": ""}, "text", {"username": "u"}])
def test_an_entry_without_a_password_is_none(home, environment, entry):
    """An entry that holds no usable credential counts as none."""
    write(home, {"auths": {"r.example": entry}})
    assert Credentials.from_environment(environment).lookup("r.example") is None


def test_credentials_do_not_show_themselves(home, environment):
    """A credential's repr holds no secret."""
    write(home, {"auths": {"r.example": {"auth": AUTH}}})
    assert "cret" not in repr(Credentials.from_environment(environment).lookup("r.example"))
