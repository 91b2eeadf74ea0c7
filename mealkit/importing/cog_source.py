"""Reads a Cog predictor's source: its class, its method, and calls that do not work in a kit.

No I/O: parses the source, never imports it. Raises KitError for source that cannot be parsed, and
for a missing class.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mealkit.engines.handler_source import class_named, method_named
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
        "load_state_dict_from_url",
        "snapshot_download",
        "urlopen",
        "urlretrieve",
    }
)
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
    left_out: tuple[LeftOut, ...]


def read_predictor(text: str, file: str, class_name: str) -> Predictor:
    """Read a predictor's file.

    Raises:
        KitError: the file is not Python, or the class or its method is missing (``USAGE``).
    """
    try:
        tree = parse_python(text, file)
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
        left_out=(*_imports(tree, file), *_fetches(tree, file), *_pieces(tree, file)),
    )


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
        if name in _FETCHES or program:
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
