"""A kit that its author edits: the next version at the same port, and the end of the author."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from mealkit.paths import AUTHOR, LOCK_NAME, VERSION_NOW


class Author:
    """The author's side of the folder that a container mounts."""

    def __init__(self):
        self.etc = None
        self.number = 0
        self.lock = -1

    def begin(self, root: Path):
        """Turn the folder of the lock into one with versions."""
        self.etc = root / "etc"
        first = (self.etc / LOCK_NAME).read_bytes()
        (self.etc / LOCK_NAME).unlink()
        (self.etc / LOCK_NAME).symlink_to(f"{VERSION_NOW}/{LOCK_NAME}")
        self.save(first)
        self.lock = os.open(self.etc / AUTHOR, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def save(self, data: bytes):
        """Let another lock count."""
        self.number += 1
        folder = self.etc / f".{self.number}"
        folder.mkdir()
        (folder / LOCK_NAME).write_bytes(data)
        link = self.etc / "next"
        link.symlink_to(folder.name)
        link.replace(self.etc / VERSION_NOW)

    def leave(self):
        """End, as a killed process does."""
        os.close(self.lock)


@pytest.fixture
def author():
    return Author()


@pytest.fixture
def edited(start, author):
    """A kit that is edited, ready."""
    kit = start(change=author.begin, environment={"MEALKIT_DEV": "on"})
    kit.wait_ready()
    return kit


def test_the_next_version_answers_at_the_same_port(edited, author):
    """A save becomes the recipe that answers, in the same process and at the same address."""
    before = json.loads((author.etc / LOCK_NAME).read_bytes())
    changed = json.dumps({**before, "about": {**before["about"], "version": "9.9.9"}}).encode()
    author.save(changed)
    edited.wait_for(lambda: len(edited.events("version")) == 2)
    edited.wait_ready()
    assert edited.client.get("/v1/metadata").json()["kit"]["version"] == "9.9.9"
    assert [item["name"] for item in edited.events("version")] == [".1", ".2"]
    assert len(edited.events("listening")) == 1


def test_a_version_that_cannot_start_is_told_to_callers(edited, author):
    """The kit does not end: it answers with the problem until the next save."""
    good = (author.etc / LOCK_NAME).read_bytes()
    author.save(b"{}")
    edited.wait_for(lambda: edited.events("failed"))
    answer = edited.client.get("/v1/models")
    assert answer.status_code == 503
    assert answer.json()["error"]["mealkit_code"] == "LOCK_INVALID"
    author.save(good)
    edited.wait_ready()


def test_a_kit_ends_with_its_author(edited, author):
    """Nothing goes on for an author who has been killed."""
    author.leave()
    assert edited.wait_end() == 0
