"""Layers of artifacts are fetched once, go on where a killed command ended, and are verified."""

from dataclasses import dataclass, field

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.image import BytesBlob
from mealkit.sources.artifact_layers import fetch_layer

DATA = bytes(range(256)) * 100


@dataclass(frozen=True)
class Asked:
    """A blob that remembers from where it was read; ``sent`` are the bytes that arrive."""

    data: bytes = DATA
    sent: bytes = DATA
    starts: list[int] = field(default_factory=list)
    size_bytes = len(DATA)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.data)

    def chunks(self, offset=0, length=None):
        self.starts.append(offset)
        yield from BytesBlob(self.sent).chunks(offset, length)


@pytest.mark.parametrize(
    ("left", "starts"),
    [(b"", [0]), (DATA[:700], [700]), (b"x" * 700, [700, 0]), (DATA + b"x", [0])],
    ids=["nothing", "a part", "a damaged part", "too much"],
)
def test_what_a_killed_command_left_is_used_if_it_is_right(cache, left, starts):
    """The rest is read after it; a part that turns out to be wrong is read again, whole."""
    blob, told = Asked(), []
    cache.parts.mkdir(parents=True)
    (cache.parts / f"{blob.digest.hex}.part").write_bytes(left)
    path = fetch_layer(blob, cache, told.append)
    assert path.read_bytes() == DATA
    assert blob.starts == starts
    assert sum(told) == len(DATA)
    assert fetch_layer(blob, cache, told.append) == path
    assert blob.starts == starts


def test_other_bytes_are_a_problem_and_not_kept(cache):
    """However often they are sent."""
    blob = Asked(sent=DATA[:-1] + b"x")
    with pytest.raises(MealkitError) as caught:
        fetch_layer(blob, cache, lambda _: None)
    assert caught.value.problems[0].code == "SOURCE_DIGEST"
    assert not list(cache.parts.iterdir())
