"""A push goes on with the upload that a killed one left, and trusts nothing that it finds."""

import fcntl
import json
import os

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.stores.registry.push import push
from mealkit.stores.registry.unfinished import UnfinishedUploads

MIB = 1024 * 1024


@pytest.fixture
def image(make_image):
    return make_image({"weights": os.urandom(3 * MIB)})


@pytest.fixture
def target(quirky):
    return Reference(quirky.host, "kit", "1")


@pytest.fixture
def registries(registries, tmp_path):
    registries.unfinished = UnfinishedUploads(tmp_path / "uploads")
    return registries


@pytest.fixture
def record(quirky, registries, image, target, tmp_path):
    """The record of a push that ended after half a layer, which the registry has."""

    def half(handler):
        name = handler.url.path.rpartition("/")[2]
        length = int(handler.headers.get("Content-Length", 0))
        if handler.command != "PUT" or length < MIB:
            return handler.command == "GET" and handler.answer(403)
        handler.registry.sessions[name] += handler.rfile.read(length // 2)
        quirky.quirks.append(lambda handler: handler.answer(403))
        return handler.reset()

    quirky.quirks.append(half)
    with pytest.raises(MealkitError):
        push(image, target, registries)
    quirky.quirks.clear()
    quirky.seen.clear()
    (path,) = (tmp_path / "uploads").iterdir()
    return path


def sent(quirky) -> int:
    return sum(
        int(head.get("Content-Length", 0))
        for method, path, head in quirky.seen
        if method in {"PUT", "PATCH"} and "/uploads/" in path
    )


def finish(quirky, registries, image, target) -> int:
    """Push again; return how many bytes were sent."""
    advanced = []
    report = push(image, target, registries, advance=advanced.append)
    (layer,) = image.layers
    assert quirky.blobs[layer.blob.digest] == layer.blob.data
    assert report.digest == image.digest
    assert sum(advanced) == layer.blob.size_bytes
    return sent(quirky)


def test_the_next_push_sends_what_the_registry_lacks(quirky, registries, image, target, record):
    """The registry is asked for its state, the rest is sent, and the record is deleted."""
    size = image.layers[0].blob.size_bytes
    assert finish(quirky, registries, image, target) < size // 2 + 1024
    assert not record.exists()


@pytest.mark.parametrize("fault", ["gone", "other bytes", "too many", "damaged", "another blob"])
def test_a_session_that_is_not_what_it_should_be_is_left(
    quirky, registries, image, target, record, fault
):
    """All is sent in a new session if the old one is gone, or has other or too many bytes."""
    (name,) = (name for name, data in quirky.sessions.items() if data)
    match fault:
        case "gone":
            quirky.sessions.clear()
        case "other bytes":
            quirky.sessions[name][1000] ^= 1
        case "too many":
            quirky.sessions[name] += bytes(3 * MIB)
        case "damaged":
            record.write_text("{")
        case "another blob":
            record.write_text(json.dumps({**json.loads(record.read_text()), "repository": "x"}))
    assert finish(quirky, registries, image, target) >= image.layers[0].blob.size_bytes
    assert not record.exists()


def test_a_session_that_another_push_uses_is_left_to_it(quirky, registries, image, target, record):
    """Two processes never write into one session."""
    before = {name: bytes(data) for name, data in quirky.sessions.items()}
    with record.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert registries.unfinished.prune() == 0
        finish(quirky, registries, image, target)
    assert {name: bytes(data) for name, data in quirky.sessions.items()} == before
    assert record.exists()
    assert registries.unfinished.prune() > 0
    assert not record.exists()
