"""The rules for a kit's prompts, used by `mealkit check` and by the gateway.

A prompt is one template without includes, whose text is the same for the same variables. Checks
before rendering for what the sandbox would reject during rendering.
"""

import re
from collections.abc import Iterator
from string import Formatter

from jinja2 import StrictUndefined, nodes

from mealkit.templating.environment import BoundedEnvironment
from mealkit.templating.parsing import TemplateRefusedError, parse
from mealkit.templating.string_methods import METHODS
from mealkit.templating.variables import names_taken

WORK = 500_000
"""The limit of work for one prompt: some five milliseconds."""
MEMORY_BYTES = 64 * 1024 * 1024
"""The limit of memory for all the prompts of one request."""

_ALONE = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
_SPECIAL = frozenset({"self", "super"})
_ALLOWED = frozenset(name for methods in METHODS.values() for name in methods)
# Methods of Python's own values that the sandbox never calls: list.append, str.encode.
_CLOSED = (
    frozenset(name for kind in (str, list, dict, tuple, int, float, type) for name in dir(kind))
    - _ALLOWED
)
_PRIVATE = re.compile(r"(?:^|\.)__")
# Filters that read an attribute of each item.
_BY_ATTRIBUTE = frozenset(
    {"groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"}
)
_ENVIRONMENT = BoundedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


def prompt_environment() -> BoundedEnvironment:
    """Return the environment for all prompts."""
    return _ENVIRONMENT


def read_prompt(source: str) -> nodes.Template:
    """Parse and check a prompt, without rendering it.

    Raises:
        TemplateRefusedError: the template is not valid, exceeds a limit, or uses an unknown
            filter, test or name.
    """
    tree = parse(_ENVIRONMENT, source)
    own = {"loop", "caller", "varargs", "kwargs", *_ENVIRONMENT.globals}
    own |= {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    own |= {node.name for node in tree.find_all(nodes.Macro)}
    for node in _walk(tree):
        _check(node)
        _check_attribute(node, own)
    return tree


def variables_of(source: str) -> set[str]:
    """Return the variables that a prompt needs.

    Raises:
        TemplateRefusedError: see `read_prompt`.
    """
    return names_taken(read_prompt(source), _ENVIRONMENT.globals)


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.iter_child_nodes())


def _check(node: nodes.Node) -> None:
    if isinstance(node, _ALONE):
        word = type(node).__name__.lower().removeprefix("from")
        raise _refused(f"a prompt has no {word}: it must not refer to other templates", node)
    if isinstance(node, nodes.EvalContextModifier):
        raise _refused("a prompt is plain text and cannot use autoescape", node)
    _check_name(node)
    match node:
        case nodes.Filter() if node.name not in _ENVIRONMENT.filters:
            raise _refused(f"the filter {node.name!r} does not exist", node)
        case nodes.Test() if node.name not in _ENVIRONMENT.tests:
            raise _refused(f"the test {node.name!r} does not exist", node)
        case nodes.Macro() | nodes.CallBlock():
            _check_arguments([argument.name for argument in node.args], node)
        case _:
            pass
    if isinstance(node, nodes.Call | nodes.Filter | nodes.Test):
        _check_arguments(
            [item.key for item in node.kwargs if isinstance(item, nodes.Keyword)], node
        )


def _check_name(node: nodes.Node) -> None:
    match node:
        case nodes.Getattr(attr=name) if name.startswith("_"):
            raise _refused(f"the attribute {name!r} is not allowed in templates", node)
        case nodes.Getitem(arg=nodes.Const(value=str() as name)) if name.startswith("__"):
            raise _refused(f"the attribute {name!r} is not allowed in templates", node)
        case nodes.Name(name=name) if name in _SPECIAL or name.startswith("__"):
            raise _refused(f"the name {name!r} is not allowed in prompts", node)
        case nodes.Name(name="loop", ctx="store" | "param"):
            raise _refused("the name 'loop' is reserved for loops", node)
        case _:
            pass


def _check_attribute(node: nodes.Node, own: set[str]) -> None:
    """Raise an error for an attribute that the sandbox allows on no value, or not on texts.

    An attribute that is not called may be an item of a mapping. A variable that the prompt does not
    set itself (``own``) is a text.
    """
    for name in _closed_attributes(node, own):
        raise _refused(f"the attribute {name!r} is not allowed in templates", node)


def _closed_attributes(node: nodes.Node, own: set[str]) -> Iterator[str]:
    match node:
        case nodes.Call(node=nodes.Getattr(attr=name)) if name in _CLOSED:
            yield name
        case nodes.Call(node=nodes.Getattr(node=receiver, attr="format")):
            for text in _texts_in(receiver):
                yield from _attributes_in(text)
        case nodes.Getattr(node=nodes.Name(name=text), attr=name) if text not in own:
            if hasattr(str, name) and name not in METHODS[str]:
                yield name
        case nodes.Filter():
            yield from _closed_by_filter(node)
        case _:
            pass


def _closed_by_filter(node: nodes.Filter) -> Iterator[str]:
    match node:
        case nodes.Filter(name="attr", args=[nodes.Const(value=str() as name)]):
            if name.startswith("_") or name in _CLOSED:
                yield name
        case nodes.Filter(name=filter_name) if filter_name in _BY_ATTRIBUTE:
            given = (*node.args, *(item.value for item in node.kwargs))
            names = (item.value for item in given if isinstance(item, nodes.Const))
            yield from (name for name in names if isinstance(name, str) and _PRIVATE.search(name))
        case _:
            pass


def _texts_in(node: nodes.Node) -> Iterator[str]:
    """Yield the texts that an expression is written with."""
    constants = [node] if isinstance(node, nodes.Const) else node.find_all(nodes.Const)
    yield from (item.value for item in constants if isinstance(item.value, str))


def _attributes_in(format_text: str) -> Iterator[str]:
    """Yield the private attributes in a format, such as ``{0.__class__}``."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(format_text) if field]
    except ValueError:  # the rendering reports what is wrong with it
        return
    for field in fields:
        yield from (part for part in field.split(".")[1:] if part.startswith("_"))


def _check_arguments(names: list[str], node: nodes.Node) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"the argument {name!r} appears twice", node)
        if name.startswith("_") or name in {"caller", "varargs", "kwargs"}:
            raise _refused(f"the argument {name!r} is not allowed in templates", node)


def _refused(message: str, node: nodes.Node) -> TemplateRefusedError:
    return TemplateRefusedError(message, node.lineno)
