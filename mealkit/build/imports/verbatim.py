"""Texts as templates that say exactly that: Jinja's own signs within them mean nothing.

Pure.
"""

import json

_SIGNS = ("{{", "{%", "{#")


def verbatim(text: str) -> str:
    """Return a Jinja template that says a text."""
    # A brace at the end would begin a sign together with what is put behind it.
    if not any(sign in text for sign in _SIGNS) and not text.endswith("{"):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"
