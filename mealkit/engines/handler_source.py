"""Checks a handler without running it: its file, its class, its signature.

Build side only. Parses the source, never imports it; what only shows at run time is not checked.
Returns a problem for a handler that is too large, or nests too deep, to be parsed; other files of
that size are skipped.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from mealkit.engines.newer_syntax import NEWEST_KNOWN, may_be_newer
from mealkit.engines.python_syntax import MAX_TOKENS, count_tokens, parse_python
from mealkit.errors import Problem, problem
from mealkit.untrusted import UntrustedError

LOAD_PARAMETERS = ("models", "parameters", "seed")

# The modules that the worker imports after the kit's code is first on its path.
_TAKEN = frozenset(
    {"mealkit", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "certifi"}
)

# The limit for all files together; a single file may have a quarter of it.
_MAX_TOKENS_IN_ALL = 4 * MAX_TOKENS

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Handler:
    """The handler that the kit names."""

    setting: str
    """FILE.py:CLASS, as the kit writes it."""
    where: str
    """The line of that setting in the kit."""
    python: tuple[int, int]
    """The Python version that will run it."""

    @property
    def file(self) -> str:
        """The path of its file in the kit's folder."""
        return self.setting.partition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of its class."""
        return self.setting.partition(":")[2]


def handler_problems(handler: Handler, code: Mapping[str, str]) -> list[Problem]:
    """Return the problems of the kit's code, file by file, with the lines."""
    if handler.file not in code:
        message = f"runtime.settings.handler: {handler.file} is not among the kit's code"
        hint = f"add {handler.file} to runtime.code"
        if near := get_close_matches(handler.file, code, n=1):
            hint = f"write {near[0]}:{handler.class_name}, or {hint}"
        return [problem("KIT_FILE_MISSING", message, where=handler.where, hint=hint)]
    problems = [*_name_problems(code)]
    left = _MAX_TOKENS_IN_ALL
    # The handler comes first: it must be parsed, while other files may be too large.
    for path in sorted(code, key=lambda path: path != handler.file):
        tokens = count_tokens(code[path])
        is_handler = path == handler.file
        if path.endswith(".py") and (is_handler or tokens <= min(MAX_TOKENS, left)):
            left -= tokens
            problems += _file_problems(path, code[path], handler)
    return problems


def _file_problems(path: str, text: str, handler: Handler) -> list[Problem]:
    try:
        tree = parse_python(text, path)
    except UntrustedError as error:
        message = f"{path} cannot be parsed: {error}"
        hint = "split it into several files in runtime.code"
        return [problem("KIT_INVALID", message, where=path, hint=hint)]
    except (SyntaxError, ValueError) as error:
        return [] if is_undecided(text, handler.python) else [syntax_problem(error, path)]
    if path != handler.file:
        return []
    return [*_import_problems(tree, path), *_class_problems(tree, handler)]


def is_undecided(text: str, python: tuple[int, int]) -> bool:
    """Return whether a file that this Python cannot parse may be right for a newer one."""
    here = sys.version_info[:2]
    return python > here and (python > NEWEST_KNOWN or may_be_newer(text))


def class_named(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """Return the class with this name that a module defines, if any."""
    found = [item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name]
    return found[-1] if found else None


def method_named(body: ast.ClassDef | ast.Module, name: str) -> Function | None:
    """Return the function with this name that a class or module itself defines, if any."""
    found = [item for item in body.body if isinstance(item, Function) and item.name == name]
    return found[-1] if found else None


def _name_problems(code: Mapping[str, str]) -> Iterator[Problem]:
    tops = {PurePosixPath(path).parts[0]: path for path in sorted(code) if path.endswith(".py")}
    for top, path in tops.items():
        name = top.removesuffix(".py")
        if name in sys.stdlib_module_names or name in _TAKEN:
            message = f"runtime.code: {path} would be imported instead of the module {name}"
            yield problem("KIT_INVALID", message, where=path, hint="rename it")


def syntax_problem(error: Exception, path: str) -> Problem:
    """Return the problem of a file that Python cannot parse, with its line."""
    if isinstance(error, SyntaxError):
        return wrong_line(path, error.lineno or 1, error.msg or "it cannot be parsed")
    message, hint = f"{path} cannot be read as Python: {error}", f"correct {path}"
    return problem("KIT_INVALID", message, where=path, hint=hint)


def wrong_line(path: str, line: int, said: str) -> Problem:
    """Return the problem of a line that is not Python, in the words of Python's parser."""
    message, where = f"{path} is not Python: {said.rstrip('.')}", f"{path}:{line}"
    return problem("KIT_INVALID", message, where=where, hint=f"correct {where}")


def _class_problems(tree: ast.Module, handler: Handler) -> Iterator[Problem]:
    path, name = handler.file, handler.class_name
    body = class_named(tree, name)
    if body is None:
        if name not in _bound_names(tree):
            message = f"runtime.settings.handler: {path} has no class {name}"
            classes = [item.name for item in tree.body if isinstance(item, ast.ClassDef)]
            hint = f"write class {name} in {path}"
            if classes:
                near = get_close_matches(name, classes, n=1) or classes[-1:]
                named = ", ".join(classes)
                hint = f"write {path}:{near[0]}; its classes are {named}"
            yield problem("KIT_INVALID", message, where=handler.where, hint=hint)
        return
    predict = method_named(body, "predict")
    if predict is not None:
        yield from _predict_problems(predict, path)
    elif not body.bases and "predict" not in _bound_names(body):
        message, where = f"{name} has no method predict", f"{path}:{body.lineno}"
        methods = [item.name for item in body.body if isinstance(item, Function)]
        near = get_close_matches("predict", methods, n=1)
        hint = (
            f"rename {near[0]} to predict"
            if near
            else f"write one below {where}: def predict(self, text: str) -> str"
        )
        yield problem("KIT_INVALID", message, where=where, hint=hint)
    init = method_named(body, "__init__")
    if init is not None:
        yield from _init_problems(init, path)
    load = method_named(body, "load")
    if load is not None:
        yield from _load_problems(load, path)


def _predict_problems(predict: Function, path: str) -> Iterator[Problem]:
    taken = predict.args
    hint = "write it as NAME: TYPE, or NAME: TYPE = DEFAULT"
    for item in (taken.vararg, taken.kwarg, *taken.posonlyargs[1:]):
        if item is not None:
            message = f"the parameter {item.arg} of predict cannot be given by name"
            yield problem("KIT_INVALID", message, where=f"{path}:{item.lineno}", hint=hint)
    named = taken.args if taken.posonlyargs else taken.args[1:]
    for item in (*named, *taken.kwonlyargs):
        if item.annotation is None:
            message = f"the parameter {item.arg} of predict has no type"
            yield problem("KIT_INVALID", message, where=f"{path}:{item.lineno}", hint=hint)


def _load_problems(load: Function, path: str) -> Iterator[Problem]:
    known = ", ".join(LOAD_PARAMETERS)
    for item in _required(load):
        if item.arg not in LOAD_PARAMETERS:
            near = get_close_matches(item.arg, LOAD_PARAMETERS, n=1, cutoff=0.5)
            hint = f"rename it to {near[0]}" if near else "delete it, or give it a default"
            message, where = f"load has a parameter {item.arg!r}, expected {known}", item.lineno
            yield problem("KIT_INVALID", message, where=f"{path}:{where}", hint=hint)


def _init_problems(init: Function, path: str) -> Iterator[Problem]:
    for item in _required(init):
        message = f"__init__ has a parameter {item.arg!r}, and the class is created without any"
        hint = "give it a default; load gets models, parameters and seed"
        yield problem("KIT_INVALID", message, where=f"{path}:{item.lineno}", hint=hint)


def _required(function: Function) -> list[ast.arg]:
    """Return the parameters of a method that have no default, without self."""
    taken = function.args
    every = [*taken.posonlyargs, *taken.args]
    keywords = zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    return every[1 : len(every) - len(taken.defaults)] + [
        item for item, default in keywords if default is None
    ]


def _import_problems(tree: ast.Module, path: str) -> Iterator[Problem]:
    """Yield a problem for each import that leaves the folder of the kit's code."""
    folders = len(PurePosixPath(path).parts) - 1
    for item in tree.body:
        if isinstance(item, ast.ImportFrom) and item.level > folders:
            dots, module = "." * item.level, item.module or ""
            message = f"{path} imports from {dots}{module}, and is in no package"
            names = ", ".join(
                alias.name if alias.asname is None else f"{alias.name} as {alias.asname}"
                for alias in item.names
            )
            hint = f"write from {module} import {names}" if module else f"write import {names}"
            yield problem("KIT_INVALID", message, where=f"{path}:{item.lineno}", hint=hint)


def _bound_names(body: ast.Module | ast.ClassDef) -> set[str]:
    """Return the names that a body binds other than by a class; ``*`` means any name."""
    names: set[str] = set()
    for item in ast.walk(body):
        match item:
            case ast.alias(name=name, asname=asname):
                names.add(asname or name.partition(".")[0])
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case _:
                pass
    return names
