"""Finds the modules of a Cog project that its predictor imports, and their calls for weights.

No I/O: parses the sources, never imports them. Files that cannot be parsed, and those beyond the
limit for all of them, are skipped.
"""

import ast
import posixpath
from collections.abc import Iterator, Mapping

from mealkit.engines.python_syntax import MAX_TOKENS, count_tokens, parse_python
from mealkit.untrusted import UntrustedError

_MOST_TOKENS = 4 * MAX_TOKENS


def imported_modules(texts: Mapping[str, str], file: str) -> dict[str, ast.Module]:
    """Return the syntax trees of the files that a file imports, directly or through others."""
    found: dict[str, ast.Module] = {}
    roots = ("", posixpath.dirname(file))
    left, todo, seen = _MOST_TOKENS, [file], {file}
    while todo:
        path = todo.pop()
        tokens = count_tokens(texts[path])
        if tokens > min(left, MAX_TOKENS):
            continue
        left -= tokens
        try:
            tree = parse_python(texts[path], path)
        except (UntrustedError, SyntaxError, ValueError):
            continue
        found[path] = tree
        for inner in _files_of(tree, path, roots, texts):
            if inner not in seen:
                seen.add(inner)
                todo.append(inner)
    found.pop(file, None)
    return dict(sorted(found.items()))


def _files_of(
    tree: ast.Module, path: str, roots: tuple[str, ...], texts: Mapping[str, str]
) -> Iterator[str]:
    """Yield the project's files that a module's imports may name."""
    for folder, parts in _names(tree, path, roots):
        for end in range(1, len(parts) + 1):
            stem = posixpath.normpath(posixpath.join(folder, *parts[:end]))
            for name in (f"{stem}.py", f"{stem}/__init__.py"):
                if name in texts:
                    yield name


def _names(tree: ast.Module, path: str, roots: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield the dotted names that a module imports, each with the folder to look in."""
    for item in ast.walk(tree):
        match item:
            case ast.Import(names=names):
                every = [alias.name.split(".") for alias in names]
                yield from ((root, parts) for root in roots for parts in every)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                every = [[*module.split("."), alias.name] for alias in names]
                yield from ((root, parts) for root in roots for parts in every)
            case ast.ImportFrom(level=level, module=module, names=names):
                folder = posixpath.join(posixpath.dirname(path), *[".."] * (level - 1))
                above = module.split(".") if module else []
                yield from ((folder, [*above, alias.name]) for alias in names)
            case _:
                pass
