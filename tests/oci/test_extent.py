"""An image may not be larger by its own statements than an engine can run."""

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER, Descriptor
from mealkit.oci.extent import MAX_LAYERS, check_layers, check_size

SMALL_BYTES = 64 * 1024


def layer(number=0, size=1):
    return Descriptor(LAYER, Digest.of(str(number).encode()), size)


def test_as_many_layers_as_allowed_are_taken():
    """One more is refused."""
    most = [layer(number) for number in range(MAX_LAYERS)]
    check_layers(most)
    with pytest.raises(MealkitError, match=f"IMAGE_INVALID.*{MAX_LAYERS + 1} layers"):
        check_layers([*most, layer(-1)])


def test_a_large_layer_stands_there_a_few_times_at_most():
    """Read again and again, one large layer would stand for terabytes."""
    large = layer(size=SMALL_BYTES + 1)
    check_layers([large] * 8)
    with pytest.raises(MealkitError, match=f"IMAGE_INVALID.*{large.digest} 9 times"):
        check_layers([large] * 9)


def test_an_empty_layer_may_stand_there_often():
    """Old images have one for each line that changed no file."""
    check_layers([layer(size=SMALL_BYTES)] * 100)


def test_a_blob_of_another_size_is_refused():
    """The message has both sizes, and the blob's digest as its place."""
    check_size(layer(size=3), 3)
    with pytest.raises(MealkitError, match=r"should have 3 bytes, but has 4") as caught:
        check_size(layer(size=3), 4)
    assert caught.value.problems[0].where == layer().digest
