"""What a prompt of a kit may be made of: the one rule of `mealkit check` and of the gateway.

A prompt is one template that stands alone, whose text is the same for the same variables. What the
sandbox would refuse when it is filled in is refused as soon as it is looked at.
"""

import re
from collections.abc import Iterator
from string import Formatter

from jinja2 import StrictUndefined, nodes

from mealkit.templating.environment import BoundedEnvironment
from mealkit.templating.parsing import TemplateRefusedError, parse
from mealkit.templating.string_methods import METHODS
from mealkit.templating.variables import names_taken

_ALONE = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
_SPECIAL = frozenset({"self", "super"})
_ALLOWED = frozenset(name for methods in METHODS.values() for name in methods)
# Methods of Python's own values that the sandbox calls on none of them: list.append, str.encode.
_CLOSED = (
    frozenset(name for kind in (str, list, dict, tuple, int, float, type) for name in dir(kind))
    - _ALLOWED
)
_PRIVATE = re.compile(r"(?:^|\.)__")
# Filters that ask for an attribute of each item.
_BY_ATTRIBUTE = frozenset(
    {"groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"}
)
_ENVIRONMENT = BoundedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


def prompt_environment() -> BoundedEnvironment:
    """Return the environment of every prompt."""
    return _ENVIRONMENT


def read_prompt(source: str) -> nodes.Template:
    """Parse a prompt and check it; nothing of it is run.

    Raises:
        TemplateRefusedError: it is not a template, breaks a limit, or asks for what there is not.
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
    """Return the variables that a prompt takes.

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
        raise _refused(f"a prompt has no {word}: it stands alone", node)
    if isinstance(node, nodes.EvalContextModifier):
        raise _refused("a prompt is text, it has no autoescape", node)
    _check_name(node)
    match node:
        case nodes.Filter() if node.name not in _ENVIRONMENT.filters:
            raise _refused(f"there is no filter {node.name!r}", node)
        case nodes.Test() if node.name not in _ENVIRONMENT.tests:
            raise _refused(f"there is no test {node.name!r}", node)
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
            raise _refused(f"the attribute {name!r} is not for templates", node)
        case nodes.Getitem(arg=nodes.Const(value=str() as name)) if name.startswith("__"):
            raise _refused(f"the attribute {name!r} is not for templates", node)
        case nodes.Name(name=name) if name in _SPECIAL or name.startswith("__"):
            raise _refused(f"the name {name!r} is not for prompts", node)
        case nodes.Name(name="loop", ctx="store" | "param"):
            raise _refused("the name 'loop' is the loop's own", node)
        case _:
            pass


def _check_attribute(node: nodes.Node, own: set[str]) -> None:
    """Refuse an attribute that the sandbox gives of no value, or not of a text.

    An attribute that is not called may be an item of a mapping. What a prompt takes from outside,
    and does not set itself (``own``), is a text.
    """
    for name in _closed_attributes(node, own):
        raise _refused(f"the attribute {name!r} is not for templates", node)


def _closed_attributes(node: nodes.Node, own: set[str]) -> Iterator[str]:
    match node:
        case nodes.Call(node=nodes.Getattr(attr=name)) if name in _CLOSED:
            yield name
        case nodes.Call(node=nodes.Getattr(node=nodes.Const(value=str() as text), attr="format")):
            yield from _attributes_in(text)
        case nodes.Getattr(node=nodes.Name(name=text), attr=name) if text not in own:
            if hasattr(str, name) and name not in METHODS[str]:
                yield name
        case nodes.Filter(name="attr", args=[nodes.Const(value=str() as name)]):
            if name.startswith("_") or name in _CLOSED:
                yield name
        case nodes.Filter(name=filter_name) if filter_name in _BY_ATTRIBUTE:
            given = (*node.args, *(item.value for item in node.kwargs))
            names = (item.value for item in given if isinstance(item, nodes.Const))
            yield from (name for name in names if isinstance(name, str) and _PRIVATE.search(name))
        case _:
            pass


def _attributes_in(format_text: str) -> Iterator[str]:
    """Yield the private attributes that a format asks for: ``{0.__class__}``."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(format_text) if field]
    except ValueError:  # filling it in tells what is wrong with it
        return
    for field in fields:
        yield from (part for part in field.split(".")[1:] if part.startswith("_"))


def _check_arguments(names: list[str], node: nodes.Node) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"the argument {name!r} is there twice", node)
        if name.startswith("_") or name in {"caller", "varargs", "kwargs"}:
            raise _refused(f"the argument {name!r} is not for templates", node)


def _refused(message: str, node: nodes.Node) -> TemplateRefusedError:
    return TemplateRefusedError(message, node.lineno)
