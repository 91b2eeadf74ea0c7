"""Finds the variables that a template needs, from its tree alone.

jinja2's own function (``meta.find_undeclared_variables``) uses its code generator, which evaluates
constants. This module follows the scopes with jinja2's symbol table, which evaluates nothing. That
table also returns names that are set in one branch of a condition, even if every path to their use
sets them; this module leaves those out.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.idtracking import VAR_LOAD_RESOLVE, Symbols

_SPECIAL = ("caller", "kwargs", "varargs")
_SCOPES = (
    *(nodes.For, nodes.CallBlock, nodes.FilterBlock, nodes.With),
    *(nodes.Block, nodes.Scope),
)


def names_taken(template: nodes.Template, known: Iterable[str] = ()) -> set[str]:
    """Return the names that a template needs, without those that every template has."""
    resolved = set(_resolved(template))
    return (resolved & set(_unset(template))) - set(known)


def _resolved(template: nodes.Template) -> Iterator[str]:
    symbols = Symbols()
    if _loads(template.body, "self"):
        symbols.declare_parameter("self")
    symbols.analyze_node(template)
    yield from _frame(symbols, template.body)


def _frame(symbols: Symbols, body: Iterable[nodes.Node]) -> Iterator[str]:
    yield from _resolved_by(symbols)
    for node in body:
        yield from _inner(symbols, node)


def _resolved_by(symbols: Symbols) -> Iterator[str]:
    for action, name in symbols.loads.values():
        if action == VAR_LOAD_RESOLVE:
            yield name


def _inner(symbols: Symbols, node: nodes.Node) -> Iterator[str]:
    """Follow the scopes inside a node, as jinja2 opens them."""
    match node:
        case nodes.For():
            yield from _for(symbols, node)
        case nodes.Macro() | nodes.CallBlock():
            yield from _scope(Symbols(parent=symbols), node, _SPECIAL)
        case nodes.FilterBlock() | nodes.With() | nodes.AssignBlock():
            yield from _scope(Symbols(parent=symbols), node)
        case nodes.Block():
            # A block sees the template's variables, but not the names that the template sets.
            yield from _scope(Symbols(), node, ("self", "super"))
        case _:
            for child in node.iter_child_nodes():
                yield from _inner(symbols, child)


def _scope(inner: Symbols, node: Any, special: Iterable[str] = ()) -> Iterator[str]:
    for name in special:
        if _loads(node.body, name):
            inner.declare_parameter(name)
    inner.analyze_node(node)
    yield from _frame(inner, node.body)


def _for(symbols: Symbols, node: nodes.For) -> Iterator[str]:
    body = Symbols(parent=symbols)
    if node.recursive or _loads(node.body, "loop"):
        body.declare_parameter("loop")
    body.analyze_node(node, for_branch="body")
    yield from _frame(body, node.body)
    if node.else_:
        other = Symbols(parent=symbols)
        other.analyze_node(node, for_branch="else")
        yield from _frame(other, node.else_)
    if node.test:
        test = Symbols(parent=symbols)
        test.analyze_node(node, for_branch="test")
        yield from _resolved_by(test)


def _loads(body: Iterable[nodes.Node], name: str) -> bool:
    """Return whether a node in the body reads a name that the body has not set."""
    for node in body:
        if isinstance(node, nodes.Block):
            continue
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name == name:
                return True
        elif _loads(node.iter_child_nodes(), name):
            return True
    return False


def _unset(template: nodes.Template) -> set[str]:
    found: set[str] = set()
    _follow(template.body, set(), found)
    return found


def _follow(body: Iterable[nodes.Node], names: set[str], found: set[str]) -> None:
    """Record the names that are read where they may not be set; ``names`` are set."""
    for node in body:
        match node:
            case nodes.Name(ctx="load") | nodes.NSRef():
                if node.name not in names:
                    found.add(node.name)
            case nodes.Name():
                names.add(node.name)
            case nodes.If():
                _follow_if(node, names, found)
            case nodes.Assign() | nodes.AssignBlock() | nodes.Macro():
                _follow_set(node, names, found)
            case _ if isinstance(node, _SCOPES):
                _follow_scope(node, names, found)
            case _:
                _follow(node.iter_child_nodes(), names, found)
                names.update(_imported(node))


def _follow_set(
    node: nodes.Assign | nodes.AssignBlock | nodes.Macro, names: set[str], found: set[str]
) -> None:
    match node:
        case nodes.Assign():
            _follow([node.node, node.target], names, found)
        case nodes.AssignBlock():
            _follow(node.body, set(names), found)
            _follow([node.filter] if node.filter else [], names, found)
            _follow([node.target], names, found)
        case nodes.Macro():
            names.add(node.name)
            _follow_scope(node, names, found)


def _imported(node: nodes.Node) -> Iterator[str]:
    match node:
        case nodes.Import():
            yield node.target
        case nodes.FromImport():
            yield from (name if isinstance(name, str) else name[1] for name in node.names)
        case _:
            return


def _follow_if(node: nodes.If, names: set[str], found: set[str]) -> None:
    _follow([node.test], names, found)
    ways = [set(names)]
    _follow(node.body, ways[0], found)
    for other in node.elif_:
        _follow([other.test], names, found)
        ways.append(set(names))
        _follow(other.body, ways[-1], found)
    ways.append(set(names))
    _follow(node.else_, ways[-1], found)
    names |= set.intersection(*ways)


def _follow_scope(node: nodes.Node, names: set[str], found: set[str]) -> None:
    """Follow a scope whose names end with it."""
    match node:
        case nodes.For():
            _follow([node.iter], names, found)
            inner = set(names)
            _follow([node.target], inner, found)
            _follow([node.test] if node.test else [], inner, found)
            _follow(node.body, inner, found)
            _follow(node.else_, set(names), found)
        case nodes.With():
            _follow(node.values, names, found)
            inner = set(names)
            _follow([*node.targets, *node.body], inner, found)
        case _:
            _follow(node.iter_child_nodes(), set(names), found)
