"""An upload sends exactly the bytes that were announced, and counts each once."""

import pytest

from mealkit.errors import MealkitError
from mealkit.jobs import Stop, StoppedError
from mealkit.oci.image import BytesBlob
from mealkit.stores.registry.upload_body import BlobRange, Meter


class Longer(BytesBlob):
    """A blob whose source gives one byte more than asked."""

    __slots__ = ()

    def chunks(self, offset=0, length=None):
        yield from super().chunks(offset, length)
        yield b"!"


def sent(blob, offset=0, length=6, meter=None, stop=None):
    body = BlobRange(blob, offset, length, meter or Meter(lambda _: None), stop or Stop())
    return b"".join(map(bytes, body.chunks()))


def test_the_range_is_sent():
    """From its offset, as many bytes as announced."""
    assert sent(BytesBlob(b"abcdef")) == b"abcdef"
    assert sent(BytesBlob(b"abcdef"), 2, 3) == b"cde"


@pytest.mark.parametrize(
    ("blob", "said"), [(BytesBlob(b"abcd"), "2 bytes fewer"), (Longer(b"abcdef"), "more")]
)
def test_other_than_the_announced_number_of_bytes_is_refused(blob, said):
    """The source changed since its size was known."""
    with pytest.raises(MealkitError, match=f"SOURCE_CHANGED.*{said}"):
        sent(blob)


def test_a_byte_that_is_sent_again_is_counted_once():
    """Retries do not let progress run beyond the end."""
    told = []
    meter = Meter(told.append)
    sent(BytesBlob(b"abcdef"), 0, 4, meter)
    sent(BytesBlob(b"abcdef"), 2, 2, meter)
    sent(BytesBlob(b"abcdef"), 0, 6, meter)
    assert told == [4, 2]


def test_a_stop_ends_it_before_the_next_chunk():
    """Nothing more is sent."""
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError):
        sent(BytesBlob(b"abcdef"), stop=stop)
