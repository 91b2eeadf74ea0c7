"""Renders a README as HTML that can be put into a page: no HTML, images or scripts of its author.

HTML in Markdown is shown as text. Links lead only to other sites and to mail.
"""

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

_SCHEMES = ("https://", "http://", "mailto:")
# A page's title and the titles of its sections have the levels above.
_DEEPER_LEVELS = 2
_LEVELS = 6


def readme_html(text: str) -> Markup:
    """Return a README as HTML; every text in it is escaped."""
    # Deeper nesting than the preset's 20 levels is shown as text.
    markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = _is_elsewhere  # type: ignore[method-assign]
    environment: dict[str, object] = {}
    tokens = list(_plain(markdown.parse(printable_text(text), environment)))
    rendered = markdown.renderer.render(tokens, markdown.options, environment)
    return Markup(rendered)  # noqa: S704  the renderer has escaped every text


def printable_text(text: str) -> str:
    """Replace the characters that a page must not have, or that change the order of others."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for sign in text
    )


def _is_elsewhere(url: str) -> bool:
    """Return whether a link may be one: a relative one would lead to a file that is not here."""
    return url.casefold().startswith(_SCHEMES)


def _plain(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield tokens with headings below the page's, and without what loads or styles anything."""
    for token in tokens:
        if token.children:
            token.children = list(_plain(token.children))
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + _DEEPER_LEVELS, _LEVELS)}"
        elif token.type in {"th_open", "td_open"}:
            token.attrs = {}  # the page's policy refuses styles in attributes
        elif token.type == "link_open":
            token.attrs = {"href": token.attrs["href"], "rel": "noreferrer nofollow"}
        elif token.type == "image":
            yield Token("text", "", 0, content=f"[image: {token.content}]")
            continue
        elif token.type in {"fence", "code_block"}:
            token.info = ""  # it would be a class of the page
        yield token
