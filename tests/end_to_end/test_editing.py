"""``mealkit dev`` on an example kit of a paper's own code, in docker and in the sandbox."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import kits_of_home

KIT = Path(__file__).parents[2] / "kits" / "rake"
PATIENCE_SECONDS = 240
ASKED = {"model": "rake", "input": {"text": "systems of linear equations and more"}}


class Author:
    """``mealkit dev --json`` in a process of its own, and the kit's folder."""

    def __init__(self, kit: Path, home: Home, client: str) -> None:
        self.handler = kit / "handler.py"
        self.folder = kit
        program = [sys.executable, "-m", "mealkit", "dev", str(kit), "--json", "--client", client]
        self.process = subprocess.Popen(
            program,
            env={**os.environ, "MEALKIT_HOME": str(home.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.told("ready")["url"]

    def told(self, event: str) -> dict[str, Any]:
        """Wait for an event of a kind."""
        while True:
            found = self._events.get(timeout=PATIENCE_SECONDS)
            if found["event"] == event:
                return found

    def ask(self, values: dict[str, Any] = ASKED) -> tuple[int, dict[str, Any]]:
        """Ask the kit, at the address of its first start."""
        request = urllib.request.Request(
            f"{self.url}/v1/predict",
            json.dumps(values).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def write(self, text: str) -> None:
        """Save the handler as many editors do: another file takes its place."""
        partial = self.folder / ".handler.py.new"
        partial.write_text(text)
        partial.replace(self.handler)

    def end(self) -> None:
        """End the process, if it still runs."""
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        assert self.process.stdout
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._events.put(json.loads(line))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Home:
    """One home, so that the image is built once."""
    return home_with_files(tmp_path_factory.mktemp("editing") / "home")


@pytest.fixture
def edit(tmp_path: Path, home: Home) -> Iterator[Callable[[str], Author]]:
    """Edit a copy of the kit with a client; the process is ended at the end."""
    began: list[Author] = []

    def begin(client: str) -> Author:
        folder = tmp_path / f"kit{len(began)}"
        shutil.copytree(KIT, folder)
        author = Author(folder, home, client)
        began.append(author)
        return author

    yield begin
    for author in began:
        author.end()


@pytest.mark.parametrize("client", ["sandbox", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_save_is_the_next_version(edit, home, client):
    """Answers and exceptions of each save, a save that is refused, and an end without leftovers."""
    author = edit(client)
    good = author.handler.read_text()
    assert author.ask()[0] == 200

    broken = good.replace("        return ranked[:count]", '        return {}["no such word"]')
    assert broken != good
    author.write(broken)
    saved = author.told("saved")
    assert saved["files"] == ["handler.py"]
    assert any(item["path"].startswith("code.handler.py") for item in saved["changes"])
    raised = author.told("raised")
    assert raised["error"] == "KeyError: 'no such word'"
    own = [item for item in raised["frames"] if item["is_own"]]
    assert own[-1]["text"] == 'return {}["no such word"]'
    assert not author.told("ready")["is_first"]
    status, answer = author.ask()
    assert status == 500
    assert "KeyError: 'no such word'" in answer["error"]["message"]

    author.write("import nothing_of_this_name\n" + good)
    assert author.told("refused")["problems"][0]["where"] == "handler.py:1"
    assert author.ask()[0] == 500  # the version before

    author.write(good)
    author.told("ready")
    assert author.ask()[0] == 200

    author.process.send_signal(signal.SIGINT)
    assert author.process.wait(PATIENCE_SECONDS) == 0
    assert not [item for item in kits_of_home(home) if item.name.startswith("rake-dev")]


def test_two_authors_at_once_and_one_is_killed(edit, home):
    """Each has a name and a port of its own; the container of a killed author ends by itself."""
    one, other = edit("sandbox"), edit("sandbox")
    assert one.url != other.url
    assert one.ask()[0] == other.ask()[0] == 200
    one.process.kill()

    def is_ended() -> bool:
        return {item.name: item.exit is not None for item in kits_of_home(home)} == {
            "rake-dev": True,
            "rake-dev-2": False,
        }

    until = time.monotonic() + PATIENCE_SECONDS
    while not is_ended():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert other.ask()[0] == 200
