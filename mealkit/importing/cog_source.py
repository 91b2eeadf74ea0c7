"""Reads a Cog predictor's source: its class, its method, and calls that do not work in a kit.

No I/O: parses the source, never imports it. Raises KitError for source that cannot be parsed, and
for a missing class.
"""

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from mealkit.engines.handler_source import class_named, method_named
from mealkit.engines.imported_modules import imported_modules
from mealkit.engines.python_syntax import parse_python
from mealkit.errors import failure
from mealkit.importing.proposal import LeftOut
from mealkit.untrusted import UntrustedError

# The names in the kit's own module cog: templates/import/cog/cog.py.
_NAMES = frozenset(
    {
        "AsyncConcatenateIterator",
        "BaseModel",
        "BasePredictor",
        "BaseRunner",
        "ConcatenateIterator",
        "File",
        "Input",
        "Path",
        "Secret",
    }
)
# The last names of functions with which setups fetch weights.
_FETCHES = frozenset(
    {
        "from_pretrained",
        "hf_hub_download",
        "cached_download",
        "download_url",
        "download_url_to_file",
        "load_file_from_url",
        "load_state_dict_from_url",
        "snapshot_download",
        "urlopen",
        "urlretrieve",
    }
)
# Functions with common names, with the module or object that they belong to.
_FETCHES_OF = frozenset(
    {
        "clip.load",
        "gdown.download",
        "httpx.get",
        "httpx.stream",
        "hub.load",
        "requests.get",
        "requests.request",
        "wget.download",
        "whisper.load_model",
    }
)
_FILES = frozenset({"File", "Path"})
_LONGEST_TYPE = 1000
_PROGRAMS = ("pget", "wget", "curl", "git", "gsutil", "aws")


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
    left_out: tuple[LeftOut, ...]


def read_predictor(texts: Mapping[str, str], file: str, class_name: str) -> Predictor:
    """Read a predictor's file, and the files of the project that it imports.

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
    body = class_named(tree, class_name)
    if body is None:
        if method_named(tree, class_name) is not None:
            hint = "put it into a class with a method predict first"
            message = f"{file}: {class_name} is a function, not a class"
            raise failure("USAGE", message, where=file, hint=hint)
        raise failure("USAGE", f"{file} has no class {class_name}", where=file)
    method = next((name for name in ("predict", "run") if method_named(body, name)), None)
    if method is None:
        message = f"{class_name} has no method predict"
        raise failure("USAGE", message, where=f"{file}:{body.lineno}")
    described = method_named(body, method)
    said = ast.get_docstring(described) if described else None
    return Predictor(
        file=file,
        class_name=class_name,
        method=method,
        description=said.splitlines()[0].strip() if said else None,
        takes_files=described is not None and _takes_files(described),
        left_out=(
            *_imports(tree, file),
            *_fetches(tree, file),
            *_pieces(tree, file),
            *_left_of_helpers(texts, file),
        ),
    )


def _left_of_helpers(texts: Mapping[str, str], file: str) -> Iterator[LeftOut]:
    for path, tree in imported_modules(texts, file).items():
        if path == file:
            continue
        yield from _imports(tree, path)
        yield from _fetches(tree, path)


def _takes_files(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    every = [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]
    return any(
        _last_name(part) in _FILES
        for item in every
        if item.annotation is not None
        for part in _annotation_parts(item.annotation)
    )


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
            yield LeftOut(
                f"{file}:{item.lineno} {name} of {module}",
                "the kit's module cog has only the names for inputs and outputs",
                "remove it from the predictor, or add it to cog.py",
            )


def _fetches(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    """Yield the calls that fetch files, as far as their names show it."""
    for item in ast.walk(tree):
        if not isinstance(item, ast.Call):
            continue
        name = _last_name(item.func)
        program = _program(item)
        if name in _FETCHES or _owned_name(item.func) in _FETCHES_OF or program:
            what = f"{file}:{item.lineno} {program or name}"
            if name == "from_pretrained" and not _names_repository(item):
                continue
            yield LeftOut(
                what,
                "a kit has no network when it starts: its weights are pinned and verified",
                "name the files in model.weights with a commit, and load them by their path",
            )


def _pieces(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    for item in ast.walk(tree):
        if not isinstance(item, ast.Name | ast.Attribute):
            continue
        name = _last_name(item)
        if name in {"ConcatenateIterator", "AsyncConcatenateIterator"}:
            yield LeftOut(
                f"{file}:{item.lineno} {name}",
                "callers who stream get the pieces, all others get them as a list",
                "join the pieces if callers expect one text",
            )
            return


def _owned_name(item: ast.expr) -> str | None:
    """Return the last two parts of a dotted name: ``hub.load`` of ``torch.hub.load``."""
    match item:
        case ast.Attribute(attr=name, value=owner):
            return f"{_last_name(owner)}.{name}"
        case _:
            return None


def _last_name(item: ast.expr) -> str | None:
    match item:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None


def _program(call: ast.Call) -> str | None:
    """Return the program that a call of subprocess or os starts, if it is a downloader."""
    if _last_name(call.func) not in {
        "run",
        "call",
        "check_call",
        "check_output",
        "system",
        "Popen",
    }:
        return None
    for item in ast.walk(call):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            first = item.value.split()[:1]
            if first and first[0] in _PROGRAMS:
                return first[0]
    return None


def _names_repository(call: ast.Call) -> bool:
    """Return whether from_pretrained gets OWNER/NAME, or a value that is not a literal path."""
    match call.args[:1]:
        case [ast.Constant(value=str(text))]:
            return not text.startswith((".", "/", "models/"))
        case _:
            return True
