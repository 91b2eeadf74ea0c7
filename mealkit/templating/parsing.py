"""A template's text becomes jinja2's tree of it, with limits, and nothing is evaluated.

jinja2's own parser has no limits, and its code generator computes what is constant: a template
whose text is a few bytes could fill the memory, or call what a filter's value leads to, on the
machine that only looks at it. So the text, its tokens, its nesting and its numbers are bounded
here before anything else happens to them.
"""

import re
import unicodedata
from collections.abc import Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 1024 * 1024
"""How long the text of a template may be."""
MAX_TOKENS = 30_000
MAX_NODES = 10_000
MAX_BRACKETS = 32
"""How deep brackets may nest: the parser takes some fifteen calls for each."""
MAX_DEPTH = 64
"""How deep statements and expressions may nest, together."""
MAX_LOOPS = 12
"""How deep loops may nest: Python takes twenty."""
MAX_DIGITS = 10_000
"""How many digits may stand in a row: jinja2's pattern for numbers keeps every way to read them."""
_MAX_NUMBER = 40
_DIGITS = re.compile(r"[\d_]++")

_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
_NUMBERS = frozenset({"integer", "float"})


class TemplateRefusedError(ValueError):
    """A template is not one, or breaks a limit; the message is a sentence for people."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        """Where in the template, if it is known."""


class BoundedParser(ImmutableSandboxedEnvironment):
    """An environment whose parser stops at the limits."""

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
        TemplateRefusedError: it is not a template, or breaks a limit.
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
        # A number that Python does not read.
        raise TemplateRefusedError("it has a literal that cannot be read") from None
    _check_extent(template)
    return template


def size_of(template: nodes.Template) -> int:
    """Return how many parts a template's tree has."""
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
            # Python takes the two for one name, and jinja2 does not.
            raise TemplateRefusedError(f"the name {text[:64]!r} is not normalised", line)
        yield line, kind, text


def _check_number(kind: str, text: str, line: int) -> None:
    if len(text) > _MAX_NUMBER:
        message = f"a number has more than {_MAX_NUMBER} characters"
        raise TemplateRefusedError(message, line)
    if kind == "float" and float(text.replace("_", "")) == float("inf"):
        raise TemplateRefusedError(f"the number {text} is too large", line)


def _check_extent(template: nodes.Template) -> None:
    """Refuse a tree with too many nodes, or one that nests too deep for what walks over it."""
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
    """Refuse ``a[1:2, 3]``, which jinja2 parses and cannot compile."""
    match node:
        case nodes.Getitem(arg=nodes.Tuple(items=items)) if any(
            isinstance(item, nodes.Slice) for item in items
        ):
            raise TemplateRefusedError("a slice stands beside something else", node.lineno)
        case _:
            pass


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
