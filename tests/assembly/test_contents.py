"""A layer's planned contents become the entries of its tar."""

import pytest
from fakes.debs import deb_of, member
from fakes.wheels import write_wheel

from mealkit.assembly.contents import Workshop, input_path, layer_entries
from mealkit.digest import Digest, digest_of_file
from mealkit.errors import MealkitError
from mealkit.oci.tar import TarDirectory, TarFile
from mealkit.plan.layers import (
    Bytecode,
    DebianTree,
    Folder,
    InputFile,
    LayerKind,
    LayerPlan,
    TextFile,
    WheelTree,
)


def no_compiler(*_):
    raise AssertionError("there is nothing to compile")


def entries(tmp_path, *contents, inputs=None, compile_modules=no_compiler):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    layer = LayerPlan(LayerKind.ENGINE, "a", "b", contents)
    return layer_entries(layer, inputs or {}, Workshop(scratch, compile_modules)).entries


def data_of(entry):
    return b"".join(map(bytes, entry.content()))


def test_a_file_is_placed_as_it_is(tmp_path):
    """Its bytes are read only when the entry is written."""
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    placed = InputFile("models/w", Digest.of(b"weights"), 7, 0o600)
    (found,) = entries(tmp_path, placed, inputs={placed.digest: path})
    assert (found.path, found.size_bytes, found.mode) == ("models/w", 7, 0o600)
    path.write_bytes(b"another")
    assert data_of(found) == b"another"


def test_texts_and_folders_have_their_modes_and_owners(tmp_path):
    """A folder's group is that of its owner."""
    text, folder = entries(tmp_path, TextFile("a", b"1", 0o755), Folder("b", 0o770, 65532, 7))
    assert isinstance(text, TarFile)
    assert (text.path, text.mode, data_of(text)) == ("a", 0o755, b"1")
    assert folder == TarDirectory("b", 0o770, 65532, 7)


def test_a_wheel_is_unpacked_below_its_tree(tmp_path):
    """Only what the wheel marks as executable is."""
    wheel = write_wheel(
        tmp_path, "pack", {"pack.py": b"1", "pack_tool": b"2"}, executable=("pack_tool",)
    )
    digest = digest_of_file(wheel)
    tree = WheelTree("opt/engine", ((wheel.name, digest),))
    found = {item.path: item for item in entries(tmp_path, tree, inputs={digest: wheel})}
    assert data_of(found["opt/engine/pack.py"]) == b"1"
    assert found["opt/engine/pack.py"].mode == 0o644
    assert found["opt/engine/pack_tool"].mode == 0o755


@pytest.mark.parametrize(
    "content",
    [
        InputFile("models/w", Digest.of(b"w"), 1),
        WheelTree("opt", (("w", Digest.of(b"w")),)),
        DebianTree((("w", Digest.of(b"w")),), "3.13"),
        Bytecode((("w", Digest.of(b"w")),), "3.13"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_input_that_was_not_handed_over_is_named(tmp_path, content):
    """By its name and the beginning of its digest."""
    with pytest.raises(MealkitError, match=r"BUILD_INPUT_MISSING.*w.* \(\w{12}\)"):
        entries(tmp_path, content, TextFile("a.py", b""))


def test_an_input_is_found_by_its_digest(tmp_path):
    """Not by its name."""
    digest = Digest.of(b"a")
    assert input_path({digest: tmp_path}, digest, "any") == tmp_path


def test_modules_of_the_layer_are_compiled_by_the_named_packages(tmp_path):
    """The compiler gets the packages' root, the version and every module of the layer."""
    deb = tmp_path / "python.deb"
    deb.write_bytes(deb_of("python", member("usr"), member("usr/python", b"#!")))
    digest = digest_of_file(deb)
    asked = []

    def compile_modules(root, python, modules, folder, advance):
        asked.append(([item.path for item in root], python, [item.path for item in modules]))
        code = folder / "code"
        code.write_bytes(b"code")
        return [code, None]

    found = entries(
        tmp_path,
        Bytecode((("python", digest),), "3.13"),
        TextFile("a/good.py", b"1"),
        TextFile("a/bad.py", b"("),
        TextFile("a/data.txt", b""),
        inputs={digest: deb},
        compile_modules=compile_modules,
    )
    ((root, python, modules),) = asked
    assert "usr/python" in root
    assert (python, modules) == ("3.13", ["a/bad.py", "a/good.py"])
    assert [item.path for item in found[3:]] == ["a/__pycache__/bad.cpython-313.pyc"]
