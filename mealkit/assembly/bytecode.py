"""Adds the bytecode of a layer's Python modules next to them, in __pycache__ (PEP 3147).

It selects the modules and names the files; the caller's compiler does the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from mealkit.digest import file_chunks
from mealkit.oci.tar import Entry, TarFile

Compile = Callable[[Sequence[Entry], str, Sequence[TarFile], Path], Sequence[Path | None]]
"""Compiles modules, given a root with a Python, its version, the modules and a folder.

Returns the path of each module's bytecode; None for a module that does not compile. The same
modules always give the same bytes.
"""

# Debuggers and installers read them; imports do not.
_ELSEWHERE = ("etc/", "usr/share/")


def bytecode(
    entries: Sequence[Entry],
    root: Sequence[Entry],
    python: str,
    compile_modules: Compile,
    scratch: Path,
) -> Iterator[TarFile]:
    """Yield bytecode for the modules among a layer's entries that have none.

    ``root`` contains the image's Python. The bytes are in ``scratch``, which must outlive the
    entries.

    Raises:
        BuildError: the modules cannot be compiled here.
    """
    taken = {item.path for item in entries}
    modules = sorted(
        (
            item
            for item in entries
            if isinstance(item, TarFile)
            and _is_module(item.path)
            and _place(item.path, python) not in taken
        ),
        key=lambda item: item.path,
    )
    if not modules:
        return
    found = compile_modules(root, python, modules, scratch)
    for module, code in zip(modules, found, strict=True):
        if code is not None:
            place = _place(module.path, python)
            yield TarFile(place, code.stat().st_size, partial(file_chunks, code))


def _is_module(path: str) -> bool:
    return path.endswith(".py") and not path.startswith(_ELSEWHERE)


def _place(path: str, python: str) -> str:
    module = PurePosixPath(path)
    name = f"{module.stem}.cpython-{python.replace('.', '')}.pyc"
    return str(module.parent / "__pycache__" / name)
