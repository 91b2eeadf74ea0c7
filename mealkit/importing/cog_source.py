"""Reads a Cog predictor's source: its class, its method, and calls that do not work in a kit.

No I/O: parses the source, never imports it. Raises KitError for source that cannot be parsed, and
for a missing class.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mealkit.engines.handler_source import class_named, method_named
from mealkit.engines.imported_modules import imported_modules
from mealkit.engines.python_syntax import parse_python
from mealkit.errors import failure
from mealkit.importing.cog_downloads import downloads_in, last_name
from mealkit.importing.proposal import LeftOut
from mealkit.importing.quoting import short
from mealkit.untrusted import UntrustedError

# The names in the kit's own module cog: templates/import/cog/cog.py.
_NAMES = frozenset(
    {
        "AsyncConcatenateIterator",
        "BaseModel",
        "BasePredictor",
        "BaseRunner",
        "CancelationException",
        "ConcatenateIterator",
        "ExperimentalFeatureWarning",
        "File",
        "Input",
        "Opaque",
        "Path",
        "Secret",
        "concurrent",
        "streaming",
    }
)
# These the module has, too, but what they record is dropped.
_METRICS = frozenset({"current_scope", "emit_metric"})
_DROPPED = ("metrics that a predictor records are dropped", "see /metrics, or write to the log")
_FILES = frozenset({"File", "Path"})
_LONGEST_TYPE = 1000
_CORRECT = "let predict in cog.yaml name a class that has a method predict or run"


@dataclass(frozen=True, slots=True)
class Predictor:
    """The predictor that cog.yaml names."""

    file: str
    class_name: str
    method: str
    """predict, or run for a runner."""
    description: str | None
    """The first line of its docstring."""
    takes_files: bool
    """Whether a caller may send it files."""
    concurrency: int | None
    """How many predictions it allows at once, if its decorator states that."""
    left_out: tuple[LeftOut, ...]


def read_predictor(texts: Mapping[str, str], file: str, stated: str | None) -> Predictor:
    """Read a predictor's file, and the files of the project that it imports.

    Without a stated class it is ``Runner``, or ``Predictor`` if there is none.

    Raises:
        KitError: the file is not Python, or the class or its method is missing (``USAGE``).
    """
    try:
        tree = parse_python(texts[file], file)
    except UntrustedError as error:
        raise failure("USAGE", f"{file} cannot be parsed: {error}", where=file) from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise failure("USAGE", f"{file} is not Python", where=f"{file}:{line}") from error
    trees = {**imported_modules(texts, file), file: tree}
    names = ("Runner", "Predictor") if stated is None else (stated,)
    classes = ((name, _class(trees, file, name)) for name in names)
    class_name, body = next((item for item in classes if item[1] is not None), (names[-1], None))
    if body is None:
        if method_named(tree, class_name) is not None:
            hint = "put it into a class with a method predict first"
            message = f"{file}: {class_name} is a function, not a class"
            raise failure("USAGE", message, where=file, hint=hint)
        raise failure("USAGE", f"{file} has no class {class_name}", where=file, hint=_CORRECT)
    bodies = [body, *_bases(trees, body)]
    found = ((name, method_named(item, name)) for item in bodies for name in ("predict", "run"))
    method, described = next((item for item in found if item[1] is not None), ("", None))
    if described is None:
        message = f"{class_name} has no method predict or run"
        raise failure("USAGE", message, where=f"{file}:{body.lineno}", hint=_CORRECT)
    said = ast.get_docstring(described)
    return Predictor(
        file=file,
        class_name=class_name,
        method=method,
        description=said.splitlines()[0].strip() if said else None,
        takes_files=_takes_files(described),
        concurrency=_concurrency(described),
        left_out=(
            *_imports(tree, file),
            *_metrics(tree, file),
            *_health_checks(bodies, file),
            *downloads_in(tree, file),
            *_fixed_paths(tree, file),
            *_left_of_helpers(trees, file),
        ),
    )


def _class(trees: Mapping[str, ast.Module], file: str, name: str) -> ast.ClassDef | None:
    """Return a class that a file defines, or that it imports from another file of the project."""
    tree = trees[file]
    if (body := class_named(tree, name)) is not None:
        return body
    imported = [
        alias.name
        for item in tree.body
        if isinstance(item, ast.ImportFrom)
        for alias in item.names
        if name == (alias.asname or alias.name)
    ]
    return _defined(trees, imported[-1]) if imported else None


def _defined(trees: Mapping[str, ast.Module], name: str) -> ast.ClassDef | None:
    found = (class_named(tree, name) for tree in trees.values())
    return next((body for body in found if body is not None), None)


def _bases(trees: Mapping[str, ast.Module], body: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Yield the classes of the project that a class inherits from, by their names."""
    todo, seen = [body], {body.name}
    while todo:
        for base in todo.pop().bases:
            name = last_name(base)
            above = _defined(trees, name) if name is not None and name not in seen else None
            if above is not None:
                seen.add(above.name)
                todo.append(above)
                yield above


def _left_of_helpers(trees: Mapping[str, ast.Module], file: str) -> Iterator[LeftOut]:
    for path, tree in sorted(trees.items()):
        if path == file:
            continue
        yield from _imports(tree, path)
        yield from downloads_in(tree, path)
        yield from _fixed_paths(tree, path)


def _takes_files(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    every = [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]
    return any(
        last_name(part) in _FILES
        for item in every
        if item.annotation is not None
        for part in _annotation_parts(item.annotation)
    )


def _concurrency(method: ast.FunctionDef | ast.AsyncFunctionDef) -> int | None:
    """Return the number of ``@concurrent(max=...)``."""
    for item in method.decorator_list:
        if isinstance(item, ast.Call) and last_name(item.func) == "concurrent":
            for given in item.keywords:
                if given.arg == "max" and isinstance(given.value, ast.Constant):
                    most = given.value.value
                    return most if isinstance(most, int) else None
    return None


def _annotation_parts(annotation: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of an annotation, also of one that is written as a text."""
    for part in ast.walk(annotation):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                yield from (
                    item
                    for item in ast.walk(ast.parse(part.value[:_LONGEST_TYPE], mode="eval"))
                    if isinstance(item, ast.expr)
                )
        elif isinstance(part, ast.expr):
            yield part


def _imports(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    """Yield the names of cog that the kit's module does not have."""
    for item in ast.walk(tree):
        match item:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "cog":
                inner = "." in module
                names = [alias.name for alias in item.names if inner or alias.name not in _NAMES]
            case ast.Import():
                names = [alias.name for alias in item.names if alias.name.startswith("cog.")]
                module = "cog"
            case _:
                continue
        for name in names:
            why = "the kit's module cog has only the names for inputs and outputs"
            instead = "remove it from the predictor, or add it to cog.py"
            if name in _METRICS and module == "cog":
                why, instead = _DROPPED
            yield LeftOut(f"{file}:{item.lineno} {name} of {module}", why, instead)


def _fixed_paths(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    """Yield the paths that begin with the folder of Cog's images."""
    for item in ast.walk(tree):
        match item:
            case ast.Constant(value=str(text)) if text == "/src" or text.startswith("/src/"):
                why = "a kit has no folder /src, and runs the predictor in a folder of its own"
                instead = "use a path that is relative to the project's folder"
                yield LeftOut(f"{file}:{item.lineno} {short(text)}", why, instead)
            case _:
                pass


def _metrics(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    """Yield the first metric that a predictor records by its own method."""
    for item in ast.walk(tree):
        if isinstance(item, ast.Attribute) and item.attr == "record_metric":
            yield LeftOut(f"{file}:{item.lineno} record_metric", *_DROPPED)
            return


def _health_checks(bodies: Sequence[ast.ClassDef], file: str) -> Iterator[LeftOut]:
    for body in bodies:
        if (method := method_named(body, "healthcheck")) is not None:
            why = "a kit's health is that of its worker, and of a small request that it answers"
            instead = "raise an exception in predict if the model cannot answer"
            yield LeftOut(f"{file}:{method.lineno} healthcheck", why, instead)
            return
