"""The first difference of two layers is told as a file and what about it differs."""

import gzip
from dataclasses import replace

import pytest
from fakes.little import layer_of

from mealkit.oci.descriptor import LAYER_GZIP
from mealkit.oci.image import BytesBlob
from mealkit.oci.layer_difference import first_difference
from mealkit.oci.tar import TarDirectory, TarFile, TarSymlink
from mealkit.untrusted import UntrustedError

ONE = (TarDirectory("a"), TarFile.of("a/b", b"bytes"), TarSymlink("a/c", "b"))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (
            (ONE[0], TarFile.of("a/b", b"BYTES"), ONE[2]),
            "a/b: content: expected sha256:",
        ),
        ((ONE[0], TarFile.of("a/b", b"byte"), ONE[2]), "a/b: size: expected 5, found 4"),
        (
            (ONE[0], TarFile.of("a/b", b"bytes", 0o755), ONE[2]),
            "a/b: mode: expected 0644, found 0755",
        ),
        ((ONE[0], ONE[1], TarSymlink("a/c", "d")), "a/c: link target: expected 'b', found 'd'"),
        (
            (TarDirectory("a", uid=7), *ONE[1:]),
            "a: owner: expected 0, found 7",
        ),
        (
            (ONE[0], TarDirectory("a/b"), ONE[2]),
            "a/b: kind: expected a file, found a directory",
        ),
        (ONE[:2], "a/c: presence: expected a file, found no such file"),
        ((ONE[0], ONE[2]), "a/b: presence: expected a file, found no such file"),
        (
            (ONE[0], TarFile.of("a/aa", b""), *ONE[1:]),
            "a/aa: presence: expected no such file, found a file",
        ),
    ],
)
def test_the_first_file_that_differs_is_named_with_what_differs(entries, said):
    """Content, size, mode, owner, link, kind, a missing file and one too many."""
    assert said in str(first_difference(layer_of("x", *ONE), layer_of("x", *entries)))


def test_equal_layers_have_no_difference_however_they_are_compressed():
    """Another tool may compress a layer; the tar inside counts."""
    plain = layer_of("x", *ONE)
    packed = gzip.compress(plain.blob.data)
    gzipped = replace(plain, media_type=LAYER_GZIP, blob=BytesBlob(packed))
    assert first_difference(plain, gzipped) is None
    other = layer_of("x", *ONE[:2])
    changed = replace(other, media_type=LAYER_GZIP, blob=BytesBlob(gzip.compress(other.blob.data)))
    assert "a/c: presence" in str(first_difference(plain, changed))


def test_other_bytes_around_equal_files_are_told_apart_from_files():
    """Padding at the end changes the digest and no file."""
    plain = layer_of("x", *ONE)
    blob = BytesBlob(plain.blob.data + bytes(1024))
    padded = replace(plain, blob=blob, diff_id=blob.digest)
    assert str(first_difference(plain, padded)).startswith("all files are equal, but the bytes")


def test_a_layer_that_is_not_a_tar_is_an_error():
    """The caller says which layer it was."""
    blob = BytesBlob(b"no tar" * 100)
    with pytest.raises(UntrustedError):
        first_difference(
            layer_of("x", *ONE), replace(layer_of("x"), blob=blob, diff_id=blob.digest)
        )
