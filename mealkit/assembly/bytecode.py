"""Adds the bytecode of a layer's Python modules next to them, in __pycache__ (PEP 3147).

It selects the modules and names the files; the caller's compiler does the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from mealkit.assembly.wheel_pieces import LayerPieces
from mealkit.digest import digest_of_file, file_chunks
from mealkit.oci.tar import Entry, TarFile
from mealkit.progress import Advance

Compile = Callable[[Sequence[Entry], str, Sequence[TarFile], Path, Advance], Sequence[Path | None]]
"""Compiles modules, given a root with a Python, its version, the modules, a folder, and a function
that is called with the number of modules that are done.

Returns the path of each module's bytecode; None for a module that does not compile. The same
modules always give the same bytes.
"""

# Debuggers and installers read them; imports do not.
_ELSEWHERE = ("etc/", "usr/share/")


def bytecode(
    entries: Sequence[Entry],
    python: str,
    pieces: LayerPieces,
    compile_them: Callable[[Sequence[TarFile]], Sequence[Path | None]],
) -> Iterator[TarFile]:
    """Yield bytecode for the modules among a layer's entries that have none.

    Only modules whose bytecode is not in ``pieces`` are compiled. The files that ``compile_them``
    returns must outlive the entries.

    Raises:
        BuildError: the modules cannot be compiled here.
    """
    unknown: list[tuple[TarFile, str]] = []
    for module, place in _modules(entries, python):
        code = pieces.code(module.path, place)
        if code is None:
            unknown.append((module, place))
        elif code.entry is not None:
            yield code.entry
    files = compile_them([module for module, _ in unknown]) if unknown else ()
    for (module, place), file in zip(unknown, files, strict=True):
        if file is None:
            pieces.compiled(module.path, place, None)
            continue
        size_bytes = file.stat().st_size
        pieces.compiled(module.path, place, (digest_of_file(file), size_bytes))
        yield TarFile(place, size_bytes, partial(file_chunks, file))


def _modules(entries: Sequence[Entry], python: str) -> list[tuple[TarFile, str]]:
    """Return the modules without bytecode, sorted by path, each with its bytecode's path."""
    taken = {item.path for item in entries}
    modules = [item for item in entries if isinstance(item, TarFile) and _is_module(item.path)]
    placed = [(module, _place(module.path, python)) for module in modules]
    return sorted((item for item in placed if item[1] not in taken), key=lambda item: item[0].path)


def _is_module(path: str) -> bool:
    return path.endswith(".py") and not path.startswith(_ELSEWHERE)


def _place(path: str, python: str) -> str:
    module = PurePosixPath(path)
    name = f"{module.stem}.cpython-{python.replace('.', '')}.pyc"
    return str(module.parent / "__pycache__" / name)
