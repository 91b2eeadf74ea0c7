"""Converts texts to templates that render to exactly those texts, by escaping Jinja's syntax.

No I/O.
"""

import json
import re

# Characters that can open a tag; and what Jinja, or a kit, would change.
_SPECIAL = re.compile(r"\{[{%#]|\{\Z|[\x00-\x08\x0b-\x1f\x7f]|\ufeff")


def verbatim(text: str) -> str:
    """Return a Jinja template that renders to a text, even if another template follows it."""
    if not _SPECIAL.search(text):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") + " }}"
