"""Finds the modules that Python code imports: its own files, and those that nothing provides.

Build side only. No I/O: parses the sources, never imports them. Files that cannot be parsed, and
those beyond the limit for all of them, are skipped.
"""

import ast
import posixpath
import sys
from collections.abc import Collection, Iterator, Mapping

from mealkit.engines.python_syntax import MAX_TOKENS, count_tokens, parse_python
from mealkit.untrusted import UntrustedError

_MOST_TOKENS = 4 * MAX_TOKENS


def imported_modules(texts: Mapping[str, str], file: str) -> dict[str, ast.Module]:
    """Return the syntax trees of a file, and of those that it imports, also through others."""
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
    return dict(sorted(found.items()))


def unprovided_modules(
    texts: Mapping[str, str], file: str, packages: Collection[str]
) -> Iterator[tuple[str, int, str]]:
    """Yield the modules that an import needs and nothing provides, each with its file and line.

    ``packages`` are the modules of installed packages. Only imports that always run count; files
    that ``file`` names in a text count like imported ones.
    """
    roots: tuple[str, ...] = ("", posixpath.dirname(file))
    trees = imported_modules(texts, file)
    for named in sorted(_named_files(trees.get(file), texts)):
        trees |= imported_modules(texts, named)
        roots += (posixpath.dirname(named),)
    tops = {_top(path, root) for path in texts for root in roots if path.endswith(".py")}
    known = {*tops, *packages, *sys.stdlib_module_names}
    for path, tree in sorted(trees.items()):
        for item in tree.body:
            match item:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(level=0, module=str(module)):
                    modules = [module]
                case _:
                    continue
            for name in modules:
                if name.partition(".")[0] not in known:
                    yield path, item.lineno, name


def _named_files(tree: ast.Module | None, texts: Mapping[str, str]) -> set[str]:
    every = ast.walk(tree) if tree else ()
    constants = (item.value for item in every if isinstance(item, ast.Constant))
    return {text for text in constants if isinstance(text, str) and text.endswith(".py")} & {*texts}


def _top(path: str, root: str) -> str:
    """Return the name by which a path below a folder of the import path begins."""
    inner = path.removeprefix(f"{root}/") if root else path
    return inner.partition("/")[0].removesuffix(".py")


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
