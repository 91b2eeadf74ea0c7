"""Tells whether a Python file may need a newer Python's syntax, or is wrong for each of them.

Build side only. An older Python's parser refuses both. The text is only searched, so what a string
or a comment contains may count as newer syntax. A "no" means that each Python refuses the file.
"""

import re

NEWEST_KNOWN = (3, 14)
"""The newest Python whose syntax is known here."""

# What each version added since 3.11: https://docs.python.org/3/whatsnew/
_NEWER = re.compile(
    r"""
      \b(?:def|class)[ ]+\w{1,200}[ ]*\[     # 3.12: type parameters (PEP 695)
    | ^[ \t]*type[ ]+\w{1,200}[ ]*[\[=]      # 3.12: type aliases (PEP 695)
    | \bexcept\*?[ ]+[^:(\n]{0,200},         # 3.14: exceptions without parentheses (PEP 758)
    | \b(?:t|tr|rt)["']                     # 3.14: template strings (PEP 750)
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_FORMATTED = re.compile(r"""\b(?:f|fr|rf)(?P<quote>\"{3}|'{3}|"|')""", re.IGNORECASE)
_EACH_QUOTE = ('"""', "'''", '"', "'")


def _older(quote: str) -> re.Pattern[str]:
    """Return the pattern of the rest of an f-string as older versions read it, after its quote.

    Since 3.12, an expression in it may have its own quote, a backslash, a comment and line breaks
    (PEP 701). So each brace is closed before the quote comes again.
    """
    inside = r"[^{}\\]" if len(quote) == 3 else r"[^{}\\\n]"
    text = rf"(?:(?!{quote}){inside}|\\.|\{{\{{|\}}\}})"
    value = rf"\{{(?:(?!{quote})[^{{}}\\#\n]|\{{(?:(?!{quote})[^{{}}\\#\n])*+\}})*+\}}"
    return re.compile(rf"(?:{text}|{value})*+{quote}", re.DOTALL)


_OLDER = {quote: _older(quote) for quote in _EACH_QUOTE}


def may_be_newer(text: str) -> bool:
    """Return whether a file may have syntax that Python has only since 3.12."""
    if _NEWER.search(text):
        return True
    return any(
        _OLDER[found["quote"]].match(text, found.end()) is None
        for found in _FORMATTED.finditer(text)
    )
