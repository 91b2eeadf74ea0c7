"""Turns a layer's contents into tar entries: unpacks wheels and Debian packages, places files.

Gets every input by its digest from the caller. Raises BuildError if one is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from mealkit.assembly.bytecode import Compile, bytecode
from mealkit.assembly.wheel_pieces import NO_PIECES, LayerPieces, PieceStore
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
from mealkit.progress import SILENT, SILENT_TASK, Progress

# A few are compiled in less than a second.
_MANY_MODULES = 50

Inputs = Mapping[Digest, Path]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a layer is made with: an empty folder that outlives its entries, and a compiler.

    ``pieces`` are the wheels that stored layers have already.
    """

    scratch: Path
    compile_modules: Compile
    pieces: PieceStore = NO_PIECES
    progress: Progress = SILENT


@dataclass(frozen=True, slots=True)
class LayerEntries:
    """The tar entries of a layer, in no particular order, and which wheels they come from."""

    entries: list[Entry]
    pieces: LayerPieces


def layer_entries(
    layer: LayerPlan, inputs: Inputs, workshop: Workshop, layer_format: str = ""
) -> LayerEntries:
    """Return the tar entries of a layer.

    Bytes are read when an entry is written, some of them from the workshop's folder.
    ``layer_format`` is the version of the rules by which contents become bytes.

    Raises:
        BuildError: an input is missing or damaged, or modules cannot be compiled.
    """
    compilers = [content for content in layer.contents if isinstance(content, Bytecode)]
    pieces = LayerPieces(workshop.pieces, layer_format, compilers[0] if compilers else None)
    entries = [
        entry
        for content in layer.contents
        for entry in _entries(content, inputs, workshop.scratch, pieces)
    ]
    for content in compilers:
        compile_them = partial(_compiled, layer, content, inputs, workshop)
        entries += bytecode(entries, content.python, pieces, compile_them)
    return LayerEntries(entries, pieces)


def input_path(inputs: Inputs, digest: Digest, name: str) -> Path:
    """Return the path of a verified input.

    Raises:
        BuildError: the input is missing (``BUILD_INPUT_MISSING``).
    """
    path = inputs.get(digest)
    if path is None:
        raise failure("BUILD_INPUT_MISSING", f"the input {name} ({digest.short}) is missing")
    return path


def _entries(
    content: Content, inputs: Inputs, scratch: Path, pieces: LayerPieces
) -> Iterator[Entry]:
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
            yield from _wheel_entries(content, inputs, pieces)
        case DebianTree():
            debs = [(name, input_path(inputs, digest, name)) for name, digest in content.debs]
            # Imported late: a rebuild does not need the libraries for .deb files.
            from mealkit.assembly.debian_root import debian_root  # noqa: PLC0415

            yield from debian_root(debs, content.python, scratch)
        case Bytecode():
            return  # bytecode is built from the other entries
        case _:
            assert_never(content)


def _compiled(
    layer: LayerPlan,
    content: Bytecode,
    inputs: Inputs,
    workshop: Workshop,
    modules: Sequence[TarFile],
) -> Sequence[Path | None]:
    root = _interpreter(content, inputs, workshop.scratch)
    shows = len(modules) >= _MANY_MODULES
    title = f"compiling {layer.title}"
    task = workshop.progress.count(title, len(modules), "modules") if shows else SILENT_TASK
    found = workshop.compile_modules(root, content.python, modules, workshop.scratch, task.advance)
    task.done()
    return found


def _interpreter(content: Bytecode, inputs: Inputs, scratch: Path) -> list[Entry]:
    from mealkit.assembly.debian_root import unpacked  # noqa: PLC0415  as above

    folder = scratch / "interpreter"
    folder.mkdir()
    return [
        entry
        for name, digest in content.debs
        for entry in unpacked(name, input_path(inputs, digest, name), folder)
    ]


def _wheel_entries(tree: WheelTree, inputs: Inputs, pieces: LayerPieces) -> Iterator[Entry]:
    paths = {input_path(inputs, digest, name): digest for name, digest in tree.wheels}
    wheels = [(name, input_path(inputs, digest, name)) for name, digest in tree.wheels]
    for member in wheel_tree(wheels):
        yield TarFile(
            f"{tree.path}/{member.path}",
            member.size_bytes,
            pieces.content(paths[member.wheel], tree.path, member),
            EXECUTABLE_MODE if member.executable else FILE_MODE,
        )
