"""Texts as templates that say exactly that: Jinja's own signs within them mean nothing.

Pure.
"""

import json
import re

# What opens a tag, alone or with what may follow; and what Jinja, or a kit, would not keep.
_SPECIAL = re.compile(r"\{[{%#]|\{\Z|[\x00-\x08\x0b-\x1f\x7f]|\ufeff")


def verbatim(text: str) -> str:
    """Return a Jinja template that says a text, whatever template may follow it."""
    if not _SPECIAL.search(text):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") + " }}"
