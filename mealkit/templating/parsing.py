"""Parses a template's text to jinja2's tree, with limits, and evaluates nothing.

jinja2's own parser has no limits, and its code generator evaluates constants: a template of a few
bytes could fill the memory, or run a filter's code, on a machine that only parses it. So the size
of the text and of its numbers, the number of tokens, and the nesting are checked first.
"""

import re
import unicodedata
from collections.abc import Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 1024 * 1024
"""The maximum length of a template's text."""
MAX_TOKENS = 30_000
MAX_NODES = 10_000
MAX_BRACKETS = 32
"""The maximum depth of brackets: the parser makes about fifteen calls for each."""
MAX_DEPTH = 64
"""The maximum depth of statements and expressions together."""
MAX_LOOPS = 12
"""The maximum depth of loops: Python's limit is twenty."""
MAX_DIGITS = 10_000
"""The maximum number of digits in a row: jinja2's pattern for numbers backtracks over them."""
_MAX_NUMBER = 40
_DIGITS = re.compile(r"[\d_]++")

_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
_NUMBERS = frozenset({"integer", "float"})


class TemplateRefusedError(ValueError):
    """A template is not valid, or exceeds a limit; the message is a sentence for people."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        """The line in the template, if it is known."""


class BoundedParser(ImmutableSandboxedEnvironment):
    """An environment whose parser checks the limits."""

    def _tokenize(
        self,
        source: str,
        name: str | None,
        filename: str | None = None,
        state: str | None = None,
    ) -> TokenStream:
        tokens = _bounded(self.lexer.tokeniter(source, name, filename, state))
        stream = TokenStream(self.lexer.wrap(tokens, name, filename), name, filename)
        for extension in self.iter_extensions():
            found = extension.filter_stream(stream)
            stream = found if isinstance(found, TokenStream) else TokenStream(found, name, filename)
        return stream


def parse(environment: Environment, source: str) -> nodes.Template:
    """Parse a template's text.

    Raises:
        TemplateRefusedError: the template is not valid, or exceeds a limit.
    """
    if len(source) > MAX_CHARACTERS:
        raise TemplateRefusedError(f"it has more than {MAX_CHARACTERS} characters")
    if any(match.end() - match.start() > MAX_DIGITS for match in _DIGITS.finditer(source)):
        raise TemplateRefusedError(f"it has more than {MAX_DIGITS} digits in a row")
    try:
        template = environment.parse(source)
    except TemplateSyntaxError as error:
        raise TemplateRefusedError(_lowered(error.message or ""), error.lineno) from None
    except TemplateRefusedError:
        raise
    except RecursionError:
        raise TemplateRefusedError("it nests too deep") from None
    except (ValueError, SyntaxError, MemoryError):
        # A number that Python cannot parse.
        raise TemplateRefusedError("it has a literal that cannot be read") from None
    _check_extent(template)
    return template


def size_of(template: nodes.Template) -> int:
    """Return the number of nodes in a template's tree."""
    waiting: list[nodes.Node] = [template]
    count = 0
    while waiting:
        count += 1
        waiting.extend(waiting.pop().iter_child_nodes())
    return count


def _bounded(tokens: Iterator[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
    depth = 0
    for count, (line, kind, text) in enumerate(tokens):
        if count >= MAX_TOKENS:
            raise TemplateRefusedError(f"it has more than {MAX_TOKENS} tokens", line)
        if kind == "operator":
            depth += (text in _OPENING) - (text in _CLOSING)
            if depth > MAX_BRACKETS:
                message = f"its brackets nest deeper than {MAX_BRACKETS}"
                raise TemplateRefusedError(message, line)
        elif kind in _NUMBERS:
            _check_number(kind, text, line)
        elif kind == "name" and text != unicodedata.normalize("NFKC", text):
            # Python treats the two spellings as one name, jinja2 does not.
            raise TemplateRefusedError(f"the name {text[:64]!r} is not normalised", line)
        yield line, kind, text


def _check_number(kind: str, text: str, line: int) -> None:
    if len(text) > _MAX_NUMBER:
        message = f"a number has more than {_MAX_NUMBER} characters"
        raise TemplateRefusedError(message, line)
    if kind == "float" and float(text.replace("_", "")) == float("inf"):
        raise TemplateRefusedError(f"the number {text} is too large", line)


def _check_extent(template: nodes.Template) -> None:
    """Raise an error for a tree with too many nodes, or that nests too deep to walk it."""
    count = 0
    level: list[tuple[nodes.Node, int]] = [(template, 0)]
    for depth in range(MAX_DEPTH + 1):
        below: list[tuple[nodes.Node, int]] = []
        for node, loops in level:
            inner = loops + isinstance(node, nodes.For)
            if inner > MAX_LOOPS:
                raise TemplateRefusedError(f"its loops nest deeper than {MAX_LOOPS}", node.lineno)
            _check_slice(node)
            below += [(child, inner) for child in node.iter_child_nodes()]
        count += len(below)
        if count > MAX_NODES:
            raise TemplateRefusedError(f"it has more than {MAX_NODES} parts")
        if not below:
            return
        level = below
        if depth == MAX_DEPTH:
            raise TemplateRefusedError(f"it nests deeper than {MAX_DEPTH}", level[0][0].lineno)


def _check_slice(node: nodes.Node) -> None:
    """Raise an error for ``a[1:2, 3]``, which jinja2 parses but cannot compile."""
    match node:
        case nodes.Getitem(arg=nodes.Tuple(items=items)) if any(
            isinstance(item, nodes.Slice) for item in items
        ):
            raise TemplateRefusedError("a slice is combined with another index", node.lineno)
        case _:
            pass


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
