"""What others wrote, as data of the file that it goes into: YAML, Python, a comment, Markdown.

Pure. Every value that an importer takes from elsewhere passes one of these on its way into a file.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from mealkit.kit.scalars import NUMBER
from mealkit.names import one_line

_MOST_SHOWN = 500
# What begins something in Markdown, or in the HTML that may stand in it.
_MARKS = re.compile(r"([\\`*_\[\]<>!|&~#])")


class _Dumper(yaml.SafeDumper):
    """PyYAML's, which quotes what is a number in YAML 1.1, and here what is one in 1.2 as well."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def short(text: str) -> str:
    """Return a text on one line, shortened."""
    line = " ".join(one_line(text).split())
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}..."


def yaml_value(value: Any) -> str:
    """Write a value as YAML on one line; a string that has a line break is quoted as JSON is."""
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
    # Nested strings with line breaks would be written on several lines; JSON is YAML too.
    return written if written.isprintable() else _quoted(value)


def python_text(text: str) -> str:
    """Write a string as a literal of Python."""
    return _quoted(text)


def python_texts(texts: Mapping[str, str]) -> str:
    """Write a dictionary of strings as a literal of Python."""
    items = (f"{python_text(name)}: {python_text(value)}" for name, value in texts.items())
    return f"{{{', '.join(items)}}}"


def cell(text: str) -> str:
    """Write words into a cell of a table in Markdown, where none of their signs has a meaning."""
    return _MARKS.sub(r"\\\1", short(text))


def code_cell(text: str) -> str:
    """Write a text as code into a cell of a table in Markdown."""
    return f"`{short(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _quoted(value: Any) -> str:
    """Return JSON whose characters can all be seen, with the escapes that YAML and Python share.

    JSON has no escape of its own for what is beyond U+FFFF; these two have one.
    """
    return "".join(
        item
        if item.isprintable()
        else json.dumps(item)[1:-1]
        if ord(item) <= 0xFFFF
        else f"\\U{ord(item):08x}"
        for item in json.dumps(value, ensure_ascii=False)
    )
