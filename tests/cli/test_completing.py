"""Names are completed as a shell asks for them, quickly and without a word about errors."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest
from fakes.little import little_base

from mealkit.cli.words_of_peers import PEERS
from mealkit.containers.container import LABEL_HOME, LABEL_RUN
from mealkit.pipeline.home import home_at
from mealkit.stores.local import LocalStore


@pytest.fixture
def complete(mealkit):
    """Return what bash gets for a command line whose last word is typed now."""

    def run(line, **more):
        words = {
            "_MEALKIT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
            "DOCKER_HOST": "unix:///nowhere.sock",
            "CONTAINER_HOST": "unix:///nowhere.sock",
        }
        done = mealkit(more={**words, **more})
        assert done.stderr == ""
        return done.stdout.split()

    return run


@pytest.fixture
def home(environment):
    return home_at(Path(environment["MEALKIT_HOME"]))


class _Engine(BaseHTTPRequestHandler):
    containers: list[dict]

    def do_GET(self):
        data = json.dumps(self.containers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"


@pytest.fixture
def engine(tmp_path):
    """An engine's socket that lists these containers."""
    handler = type("Engine", (_Engine,), {"containers": []})
    path = tmp_path / "engine.sock"
    with ThreadingUnixStreamServer(str(path), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield handler, f"unix://{path}"
        server.shutdown()
        thread.join()


def test_what_can_be_asked_is_completed(complete, home, engine, tmp_path):
    """Kits that run in an engine or the sandbox, deployments, folders of kits, images."""
    handler, address = engine
    handler.containers = [
        {"Labels": {LABEL_RUN: "soup-runs", LABEL_HOME: home.id}},
        {"Labels": {LABEL_RUN: "soup-elsewhere", LABEL_HOME: "another"}},
        {"Labels": None},
        "nothing",
    ]
    (home.runs / "soup-sandbox").mkdir(parents=True)
    (home.runs / "soup-sandbox" / "record.json").touch()
    (home.deployments / "soup-deployed").mkdir(parents=True)
    (home.deployments / "soup-deployed" / "deployment.json").touch()
    LocalStore(home.store).put(little_base(), ["soup-image:1.0.0"])
    for folder in ("soup-kit", "soup-no-kit"):
        (tmp_path / folder).mkdir()
    (tmp_path / "soup-kit" / "kit.yaml").touch()
    found = ["soup-deployed", "soup-image:1.0.0", "soup-kit", "soup-runs", "soup-sandbox"]
    for verb in ("predict", "chat", "embed", "test"):
        assert complete(f"mealkit {verb} soup", DOCKER_HOST=address) == found
    assert complete("mealkit stop soup-s", DOCKER_HOST=address) == ["soup-sandbox"]
    assert complete("mealkit run soup-k") == ["soup-kit"]
    assert complete("mealkit check soup") == ["soup-kit"]
    assert complete("mealkit diff soup-kit soup-i") == ["soup-image:1.0.0"]


def test_folders_are_completed_below_others(complete, tmp_path):
    """As they are typed."""
    (tmp_path / "kits" / "soup").mkdir(parents=True)
    (tmp_path / "kits" / "soup" / "kit.yaml").touch()
    assert complete("mealkit check kits/s") == ["kits/soup"]
    assert complete("mealkit check none/s") == []


def test_codes_are_completed(complete):
    """Those that begin with what was typed."""
    assert "SOURCE_DIGEST" in complete("mealkit explain SOURCE_D")
    assert complete("mealkit explain NO_SUCH") == []


def test_errors_are_silent(complete, home, engine):
    """A damaged store, an engine that talks nonsense, and a home that cannot be used."""
    handler, address = engine
    handler.containers = {"message": "broken"}
    home.store.mkdir(parents=True)
    (home.store / "index.json").write_text("{")
    assert complete("mealkit predict x", DOCKER_HOST=address) == []
    assert complete("mealkit predict x", MEALKIT_HOME=os.devnull) == []


@pytest.mark.parametrize("word", PEERS)
def test_words_of_other_tools_are_answered_with_our_own(word, mealkit):
    """With a command that exists here."""
    if word in {"serve", "ls", "init"}:  # the others are the same path of the code
        done = mealkit(word)
        assert done.returncode == 2
        assert f"Here it is: {PEERS[word]}" in " ".join(done.stderr.split())
    from mealkit.cli.program import verb_names  # noqa: PLC0415

    verbs = {name.partition(" ")[0] for name in verb_names()}
    assert word not in verbs
    named = [part.split()[0] for part in PEERS[word].split("mealkit ")[1:]]
    assert named
    assert {name.strip(",;:") for name in named} <= verbs | {"--help"}
