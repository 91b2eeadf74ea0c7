"""Turns a layer's contents into tar entries: unpacks wheels and Debian packages, places files.

Gets every input by its digest from the caller. Raises BuildError if one is missing.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import assert_never

from mealkit.assembly.bytecode import Compile, bytecode
from mealkit.assembly.wheel_tree import wheel_tree
from mealkit.digest import Digest, file_chunks
from mealkit.errors import failure
from mealkit.oci.tar import Entry, TarDirectory, TarFile
from mealkit.plan.layers import (
    EXECUTABLE_MODE,
    FILE_MODE,
    Bytecode,
    Content,
    DebianTree,
    Folder,
    InputFile,
    LayerPlan,
    TextFile,
    WheelTree,
)

Inputs = Mapping[Digest, Path]


def layer_entries(
    layer: LayerPlan, inputs: Inputs, scratch: Path, compile_modules: Compile
) -> list[Entry]:
    """Return the tar entries of a layer, in no particular order.

    Bytes are read when an entry is written, some of them from ``scratch``, an empty folder that
    must outlive the entries.

    Raises:
        BuildError: an input is missing or damaged, or modules cannot be compiled.
    """
    entries = [entry for content in layer.contents for entry in _entries(content, inputs, scratch)]
    for content in layer.contents:
        if isinstance(content, Bytecode):
            root = _interpreter(content, inputs, scratch)
            entries += bytecode(entries, root, content.python, compile_modules, scratch)
    return entries


def input_path(inputs: Inputs, digest: Digest, name: str) -> Path:
    """Return the path of a verified input.

    Raises:
        BuildError: the input is missing (``BUILD_INPUT_MISSING``).
    """
    path = inputs.get(digest)
    if path is None:
        raise failure("BUILD_INPUT_MISSING", f"the input {name} ({digest.short}) is missing")
    return path


def _entries(content: Content, inputs: Inputs, scratch: Path) -> Iterator[Entry]:
    match content:
        case InputFile():
            path = input_path(inputs, content.digest, content.path)
            yield TarFile(
                content.path, content.size_bytes, partial(file_chunks, path), content.mode
            )
        case TextFile():
            yield TarFile.of(content.path, content.data, content.mode)
        case Folder():
            yield TarDirectory(content.path, content.mode, content.owner_id, content.group_id)
        case WheelTree():
            yield from _wheel_entries(content, inputs)
        case DebianTree():
            debs = [(name, input_path(inputs, digest, name)) for name, digest in content.debs]
            # Imported late: a rebuild does not need the libraries for .deb files.
            from mealkit.assembly.debian_root import debian_root  # noqa: PLC0415

            yield from debian_root(debs, content.python, scratch)
        case Bytecode():
            return  # bytecode is built from the other entries
        case _:
            assert_never(content)


def _interpreter(content: Bytecode, inputs: Inputs, scratch: Path) -> list[Entry]:
    from mealkit.assembly.debian_root import unpacked  # noqa: PLC0415  as above

    folder = scratch / "interpreter"
    folder.mkdir()
    return [
        entry
        for name, digest in content.debs
        for entry in unpacked(name, input_path(inputs, digest, name), folder)
    ]


def _wheel_entries(tree: WheelTree, inputs: Inputs) -> Iterator[Entry]:
    wheels = [(name, input_path(inputs, digest, name)) for name, digest in tree.wheels]
    for member in wheel_tree(wheels):
        yield TarFile(
            f"{tree.path}/{member.path}",
            member.size_bytes,
            member.chunks,
            EXECUTABLE_MODE if member.executable else FILE_MODE,
        )
