"""Writes unit files of systemd, so that no text is read as a specifier, a variable or a word's end.

https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html
"""

from collections.abc import Iterable

Entries = Iterable[tuple[str, str]]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@,+[]")


def unit_text(*sections: tuple[str, Entries]) -> str:
    """Return a unit file with these sections."""
    parts = [
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in entries)])
        for name, entries in sections
    ]
    return "\n\n".join(parts) + "\n"


def literal(text: str) -> str:
    """Return a text in which no % is a specifier and no $ a variable.

    podman's generator copies values into a command line, where systemd expands both.
    """
    return text.replace("%", "%%").replace("$", "$$")


def word(text: str) -> str:
    """Return a text as one word of a line, in quotes if it needs them."""
    if text and set(text) <= _PLAIN:
        return text
    # Line breaks do not occur: the values of deploy.yaml and of a kit's labels are lines.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{literal(escaped)}"'
