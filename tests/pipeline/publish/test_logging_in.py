"""Logs in to real registries, through the command line."""

import base64
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from stores.registry.conftest import HTPASSWD, PASSWORD, USER, RegistryProcess

from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home
from mealkit.pipeline.publish.logging_in import log_in, registry_name


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The real docker-registry with basic authentication."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    server = RegistryProcess(folder, auth).start()
    yield server
    server.kill()


@pytest.fixture
def mealkit(tmp_path):
    """Run the program with a home folder of its own."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ
    }
    own = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    environment = kept | own | {"MEALKIT_HOME": str(tmp_path / "home")}

    def run(*arguments, words="", **more):
        return subprocess.run(
            [sys.executable, "-m", "mealkit", *arguments],
            env=environment | more,
            input=words,
            capture_output=True,
            text=True,
            check=False,
        )

    run.environment = environment
    return run


def auths(tmp_path):
    path = tmp_path / ".docker" / "config.json"
    return json.loads(path.read_text())["auths"] if path.exists() else {}


def test_a_verified_login_is_kept_and_deleted_again(guarded, mealkit, tmp_path):
    """The password comes by standard input; then the registry's commands work, until logout."""
    done = mealkit("login", guarded.host, "-u", USER, "--password-stdin", words=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / ".docker" / "config.json") in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    entry = base64.b64decode(auths(tmp_path)[guarded.host]["auth"]).decode()
    assert entry == f"{USER}:{PASSWORD}"
    found = mealkit("tags", f"{guarded.host}/absent")
    assert "IMAGE_NOT_FOUND" in found.stderr
    done = mealkit("logout", guarded.host, "--json")
    assert json.loads(done.stdout) == {"registry": guarded.host, "removed": True, "left": False}
    refused = mealkit("tags", f"{guarded.host}/absent")
    assert f"mealkit login {guarded.host}" in refused.stderr


def test_a_wrong_password_changes_nothing(guarded, mealkit, tmp_path):
    """The registry is asked before anything is written, and the password is not printed."""
    wrong = "also-not-a-secret"
    done = mealkit("login", guarded.host, "-u", USER, "--password-stdin", words=wrong)
    assert done.returncode != 0
    assert "REGISTRY_DENIED" in done.stderr
    assert wrong not in done.stdout + done.stderr
    assert auths(tmp_path) == {}


@pytest.mark.parametrize("words", ["", "two\nlines", "x" * 70_000])
def test_standard_input_must_be_one_password(guarded, mealkit, words):
    """An empty pipe, or a whole file, is not sent to the registry."""
    done = mealkit("login", guarded.host, "-u", USER, "--password-stdin", words=words)
    assert "USAGE" in done.stderr
    assert "not one line" in done.stderr


@pytest.mark.parametrize("name", ["", "a:b"])
def test_a_user_name_has_no_colon(guarded, name):
    """What follows a colon would be sent as the password."""
    with pytest.raises(MealkitError) as caught:
        log_in(guarded.host, name, PASSWORD, Home(Path("unused")))
    assert caught.value.problems[0].code == "USAGE"


def test_without_a_terminal_the_password_must_be_piped(guarded, mealkit):
    """There is no option for a password, because other users can see arguments."""
    done = mealkit("login", guarded.host, "-u", USER)
    assert "--password-stdin" in done.stderr
    done = mealkit("login", guarded.host, "-u", USER, "--password", PASSWORD)
    assert done.returncode == 2


def test_podmans_file_is_used_and_left_alone(guarded, mealkit, tmp_path):
    """Credentials that podman keeps work, and logout says that they are still there."""
    folder = tmp_path / "run" / "containers"
    folder.mkdir(parents=True)
    entry = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "auth.json").write_text(json.dumps({"auths": {guarded.host: {"auth": entry}}}))
    assert "IMAGE_NOT_FOUND" in mealkit("tags", f"{guarded.host}/absent").stderr
    done = mealkit("logout", guarded.host)
    assert "podman logout" in done.stdout
    assert guarded.host in (folder / "auth.json").read_text()


def test_questions_are_asked_on_a_terminal(guarded, mealkit, tmp_path):
    """Name and password are asked for; the password is not shown."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "mealkit", "login", guarded.host],
        env=mealkit.environment,
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=inner,
    )
    os.close(inner)
    shown = b""
    for question, answer in ((b"Username: ", USER), (b"Password: ", PASSWORD)):
        while not shown.endswith(question):
            assert select.select([outer], [], [], 60)[0], shown
            shown += os.read(outer, 1000)
        os.write(outer, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    os.close(outer)
    assert process.returncode == 0
    assert b"logged in" in out
    assert PASSWORD.encode() not in shown
    assert guarded.host in auths(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://registry.example.org/", "registry.example.org"),
        ("index.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry:5000", "registry:5000"),
    ],
)
def test_a_registry_has_one_name(text, name):
    """Addresses and Docker Hub's other names are the name that references have."""
    assert registry_name(text) == name
