"""Quotes untrusted text for the file that it is written to: YAML, Python, a comment, Markdown.

No I/O. Every value that an importer gets from a foreign format passes through one of these.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from mealkit.kit.scalars import NUMBER
from mealkit.names import one_line

_MOST_SHOWN = 500
# Characters with a meaning in Markdown, or in the HTML that it may contain.
_MARKS = re.compile(r"([\\`*_\[\]<>!|&~#])")
# Characters that can open a tag; and what Jinja, or a kit, would change.
_TEMPLATE_SYNTAX = re.compile(r"\{[{%#]|\{\Z|[\x00-\x08\x0b-\x1f\x7f]|\ufeff")


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, which quotes numbers of YAML 1.1, and here also those of YAML 1.2."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def short(text: str) -> str:
    """Return a text on one line, truncated."""
    line = " ".join(one_line(text).split())
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}..."


def yaml_value(value: Any) -> str:
    """Return a value as YAML on one line; a string with a line break is quoted as in JSON."""
    if isinstance(value, str) and not value.isprintable():
        return _quoted(value)
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        width=2**30,
        allow_unicode=True,
        sort_keys=False,
    )
    written = str(text).removesuffix("\n").removesuffix("\n...")
    # PyYAML would write nested strings with line breaks on several lines; JSON is also YAML.
    return written if written.isprintable() else _quoted(value)


def python_text(text: str) -> str:
    """Return a string as a Python literal."""
    return _quoted(text)


def python_texts(texts: Mapping[str, str]) -> str:
    """Return a dictionary of strings as a Python literal."""
    items = (f"{python_text(name)}: {python_text(value)}" for name, value in texts.items())
    return f"{{{', '.join(items)}}}"


def verbatim(text: str) -> str:
    """Return a Jinja template that renders to a text, even if another template follows it."""
    if not _TEMPLATE_SYNTAX.search(text):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") + " }}"


def cell(text: str) -> str:
    """Return words for a cell of a Markdown table, with all special characters escaped."""
    return _MARKS.sub(r"\\\1", short(text))


def code_cell(text: str) -> str:
    """Return a text as code for a cell of a Markdown table."""
    return f"`{short(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _quoted(value: Any) -> str:
    """Return JSON with visible characters only, with the escapes that YAML and Python share.

    JSON has no single escape for characters beyond U+FFFF; YAML and Python have one.
    """
    return "".join(
        item
        if item.isprintable()
        else json.dumps(item)[1:-1]
        if ord(item) <= 0xFFFF
        else f"\\U{ord(item):08x}"
        for item in json.dumps(value, ensure_ascii=False)
    )
