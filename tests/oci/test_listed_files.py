"""The files of an image are those of its layers, one applied on the other."""

from fakes.little import layer_of

from mealkit.digest import Digest
from mealkit.oci.listed_files import listed_files
from mealkit.oci.tar import TarDirectory, TarFile, TarHardlink, TarSymlink
from mealkit.oci.untar import Kind


def test_upper_layers_replace_hide_and_link_files():
    """A whiteout removes a path and all below it, an opaque folder what was in it before."""
    lower = layer_of(
        "lower",
        TarDirectory("etc"),
        TarFile.of("etc/a", b"a"),
        TarFile.of("etc/b", b"b"),
        TarDirectory("gone"),
        TarFile.of("gone/x", b"x"),
        TarDirectory("opaque"),
        TarFile.of("opaque/old", b"old"),
    )
    upper = layer_of(
        "upper",
        TarFile.of(".wh.gone", b""),
        TarFile.of("etc/a", b"new"),
        TarFile.of("etc/n", b"n"),
        TarHardlink("etc/o", "etc/n"),
        TarSymlink("etc/d", "a"),
        TarDirectory("opaque"),
        TarFile.of("opaque/.wh..wh..opq", b""),
        TarFile.of("opaque/new", b"new"),
    )
    found = listed_files([lower, upper])
    etc = {b"etc", b"etc/a", b"etc/b", b"etc/d", b"etc/n", b"etc/o"}
    assert set(found) == etc | {b"opaque", b"opaque/new"}
    assert found[b"etc/a"].digest == Digest.of(b"new")
    assert found[b"etc/o"].digest == found[b"etc/n"].digest == Digest.of(b"n")
    assert (found[b"etc/d"].kind, found[b"etc/d"].target) == (Kind.SYMLINK, b"a")
