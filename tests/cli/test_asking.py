"""mealkit predict, chat and embed, as people call them, against kits that run already."""

import base64
import json
import os
import pty
import select
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from fakes.answering_kit import answering_kit, lock_of
from fakes.little import little_base

from mealkit.pipeline.home import home_at
from mealkit.recipe.kit import Task
from mealkit.stores.local import LocalStore

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def predictor():
    with answering_kit(lock_of(Task.PREDICTION)) as running:
        yield running


@pytest.fixture(scope="module")
def embedder():
    with answering_kit(lock_of(Task.EMBEDDINGS)) as running:
        yield running


@pytest.fixture
def talker():
    """A kit that answers a chat in pieces."""

    def answer(_path, body):
        text = body["messages"][-1]["content"].upper()
        if not body.get("stream"):
            return {"choices": [{"message": {"content": text}}]}
        return 200, {}, events(text)

    with answering_kit(lock_of(Task.GENERATION)) as running:
        running.answer = answer
        yield running


def events(text):
    for word in text.split(" "):
        yield json.dumps({"choices": [{"delta": {"content": f"{word} "}}]}).encode()
    yield b"[DONE]"


def test_predict_prints_the_output(mealkit, predictor):
    """As JSON to stdout; with --json the whole answer and the recipe."""
    done = mealkit("predict", predictor.address, "-i", "text=b a")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"words": ["a", "b"], "count": 1.5}
    whole = json.loads(mealkit("predict", predictor.address, '{"text": "b"}', "--json").stdout)
    assert whole == {"output": {"words": ["b"], "count": 1.5}, "recipe": predictor.recipe}


def test_predict_writes_the_one_file_of_an_answer(mealkit, predictor, tmp_path):
    """Its bytes; an answer without a file as JSON."""
    url = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
    before = predictor.answer
    predictor.answer = lambda *_: {"output": {"image": url}}
    try:
        done = mealkit("predict", predictor.address, "-i", "text=a", "-o", "out.png")
    finally:
        predictor.answer = before
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "out.png").read_bytes() == b"picture"
    assert mealkit("predict", predictor.address, "-i", "text=b", "-o", "o.json").returncode == 0
    assert json.loads((tmp_path / "o.json").read_text())["words"] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["-i", "tex=b"], "REQUEST_INVALID", 12),
        (["-i", "text"], "USAGE", 2),
        (["[1]"], "USAGE", 2),
        (["-i", "text=@none.txt"], "USAGE", 2),
    ],
)
def test_predict_says_what_is_wrong(mealkit, predictor, arguments, code, exit_code):
    """On stderr, for programs as JSON, with the caller as its owner."""
    done = mealkit("predict", predictor.address, *arguments, "--json")
    assert (done.returncode, done.stdout) == (exit_code, "")
    (found,) = json.loads(done.stderr)["problems"]
    assert (found["code"], found["owner"]) == (code, "caller")


def test_a_verb_for_another_task_names_the_right_one(mealkit, predictor, embedder):
    """Before anything is asked."""
    done = mealkit("chat", predictor.address, "hello")
    assert done.returncode == 3
    assert f"mealkit predict {predictor.address} -i NAME=VALUE" in done.stderr
    done = mealkit("chat", embedder.address, "hello")
    assert f"mealkit embed {embedder.address} TEXT" in done.stderr


def test_embed_prints_vectors_as_json(mealkit, embedder):
    """One for each text; --similarity compares the first with the others."""
    done = mealkit("embed", embedder.address, "aa", "bb")
    assert json.loads(done.stdout) == [[2.125, 0.125, 0.125], [0.125, 2.125, 0.125]]
    assert mealkit("embed", embedder.address, "--similarity", "aa", "aa").stdout == "1.0000\n"
    shown = mealkit("embed", embedder.address, "--similarity", "aa", "aa", "bb").stdout
    assert [line.split()[-1] for line in shown.splitlines()] == ["text", "aa", "bb"]
    assert mealkit("embed", embedder.address, "--similarity", "aa").returncode == 2


def test_chat_answers_one_message(mealkit, talker, environment, tmp_path):
    """The argument's, or that of standard input; --json is the API's own answer."""
    assert mealkit("chat", talker.address, "what is it").stdout == "WHAT IS IT \n"
    whole = json.loads(mealkit("chat", talker.address, "hi", "--json").stdout)
    assert whole["choices"][0]["message"]["content"] == "HI"
    piped = subprocess.run(
        [sys.executable, "-m", "mealkit", "chat", talker.address, "--system", "be short"],
        cwd=tmp_path,
        env=environment,
        input="from a pipe\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert piped.stdout == "FROM A PIPE \n"
    assert talker.asked[-1][1]["messages"] == [
        {"role": "system", "content": "be short"},
        {"role": "user", "content": "from a pipe"},
    ]


class Terminal:
    """A conversation on a terminal."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def until(self, text):
        """Read until a text appears."""
        seen, deadline = b"", time.monotonic() + PATIENCE_SECONDS
        while text not in seen and time.monotonic() < deadline:
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    seen += os.read(self.descriptor, 4096)
                except OSError:  # the program has ended
                    break
        assert text in seen, seen
        return seen

    def send(self, text):
        os.write(self.descriptor, text)


@contextmanager
def conversation(address, environment, folder):
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(folder)
        command = [sys.executable, "-m", "mealkit", "chat", address]
        os.execve(  # noqa: S606
            sys.executable, command, {**environment, "TERM": "dumb"}
        )
    try:
        yield Terminal(descriptor), pid
    finally:
        os.close(descriptor)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_conversation_keeps_its_turns(talker, environment, tmp_path):
    """Ctrl-C stops an answer and not the conversation; /bye ends it."""
    slow = []

    def answer(_path, body):
        text = body["messages"][-1]["content"]
        return 200, {}, (endless(slow) if text == "slow" else events(text.upper()))

    talker.answer = answer
    with conversation(talker.address, environment, tmp_path) as (terminal, pid):
        terminal.until(b">>> ")
        terminal.send(b"hello\n")
        terminal.until(b"HELLO \r\n>>> ")
        terminal.send(b"\x03")
        terminal.until(b"/bye or Ctrl-D ends\r\n>>> ")
        terminal.send(b"slow\n")
        terminal.until(b"again again")
        terminal.send(b"\x03")
        terminal.until(b"stopped\r\n>>> ")
        terminal.send(b"more\n")
        terminal.until(b"MORE \r\n>>> ")
        terminal.send(b"/bye\n")
        assert os.waitpid(pid, 0)[1] == 0
    said = [item["content"] for item in talker.asked[-1][1]["messages"]]
    assert said[:3] == ["hello", "HELLO ", "slow"]
    assert said[3].startswith("again again")
    assert said[4:] == ["more"]


def endless(seen):
    while True:
        seen.append(1)
        time.sleep(0.01)
        yield json.dumps({"choices": [{"delta": {"content": "again "}}]}).encode()


def test_pruning_asks_on_a_terminal_for_what_cannot_be_made_again(environment, tmp_path):
    """It lists what goes, and deletes nothing without a yes; a script is not asked."""
    home = home_at(tmp_path / "home")
    store = LocalStore(home.store)
    store.put(little_base("old"), ["little:1"])
    store.put(little_base("new"), ["little:1"])
    quiet = {**environment, "DOCKER_HOST": "unix:///nowhere", "CONTAINER_HOST": "unix:///nowhere"}
    for answer, left in ((b"n\n", 2), (b"y\n", 1)):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "mealkit", "prune"],
            cwd=tmp_path,
            env=quiet,
            stdin=slave,
            stdout=subprocess.DEVNULL,
            stderr=slave,
        )
        os.close(slave)
        seen = Terminal(master).until(b"Delete all of this?")
        assert b"image without a name" in seen
        os.write(master, answer)
        process.wait(timeout=PATIENCE_SECONDS)
        os.close(master)
        assert len(store.images()) == left


@pytest.mark.parametrize(
    ("closed", "code"), [("- <&-", 2), ("-i text=a >&-", 0), ("-i top=x 2>&-", 12)]
)
def test_a_stream_that_the_caller_has_closed_is_empty(predictor, tmp_path, closed, code):
    """It is no crash, and no file gets its number."""
    program = f'exec "$0" -m mealkit predict "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", program, sys.executable, predictor.address],
        env={**os.environ, "MEALKIT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "INTERNAL" not in done.stderr
