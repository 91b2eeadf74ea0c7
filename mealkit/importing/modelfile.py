"""Reads a Modelfile as Ollama does: its encoding, its instructions, and the files that FROM names.

No I/O. Raises KitError for a text that is not a Modelfile, and for one that uses Ollama's own name
for a model. Format: https://docs.ollama.com/modelfile, and parser/parser.go of Ollama.
"""

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import MealkitError, failure
from mealkit.untrusted import shown

_INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)(?:[ \t]+(?P<rest>.*))?$", re.DOTALL)
_KNOWN = frozenset(
    {
        "ADAPTER",
        "DRAFT",
        "FROM",
        "LICENSE",
        "MESSAGE",
        "PARAMETER",
        "PARSER",
        "RENDERER",
        "REQUIRES",
        "SYSTEM",
        "TEMPLATE",
    }
)
# Instructions whose value comes after a word: the parameter's name, the message's role.
_WITH_WORD = frozenset({"MESSAGE", "PARAMETER"})
_QUOTES = ('"""', '"')
_ON_THE_HUB = re.compile(r"(?:https?://)?(?:hf\.co|huggingface\.co)/")
# A drive, or another machine.
_OTHER_DISK = re.compile(r"[A-Za-z]:[\\/]|\\\\")
# Without a byte order mark, Ollama reads UTF-8. Windows PowerShell writes UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Directive:
    """One instruction of a Modelfile."""

    name: str
    """The instruction, in capitals."""
    value: str
    line: int
    word: str = ""
    """The name of a PARAMETER, or the role of a MESSAGE."""


def decode_modelfile(data: bytes, where: str) -> str:
    """Return the text of a Modelfile, by its byte order mark.

    Raises:
        KitError: the bytes are not text in this encoding (``KIT_INVALID``).
    """
    mark, encoding = next((item for item in _MARKS if data.startswith(item[0])), (b"", "utf-8"))
    try:
        text = data.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as error:
        message = f"the Modelfile cannot be read: byte {error.start} is not {encoding.upper()}"
        raise failure("KIT_INVALID", message, where=where, hint="save it as UTF-8") from error
    if "\0" in text:
        raise failure("KIT_INVALID", "it contains the character U+0000", where=where)
    return text


def parse_modelfile(text: str, where: str) -> list[Directive]:
    """Read the instructions: one per line, in any case; quoted values may span several lines.

    Raises:
        KitError: a line is not an instruction, or quotes are not closed (``KIT_INVALID``).
    """
    # Only these are line breaks for Ollama: str.splitlines knows others, which may be in a value.
    lines = re.split(r"\r\n|\n|\r", text.lstrip("\ufeff"))
    found = []
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _INSTRUCTION.match(line)
        if match is None or match["name"].upper() not in _KNOWN:
            message = f"{shown(line.split()[0])} is not an instruction of a Modelfile"
            raise _wrong(message, where, number)
        name, word, value = match["name"].upper(), "", (match["rest"] or "").lstrip()
        if name in _WITH_WORD:
            word, _, value = value.replace("\t", " ", 1).partition(" ")
        value, at = _value(value, lines, at)
        quotes = _opened(value)
        if quotes is not None and not _is_closed(value, quotes):
            raise _wrong(f"the quotes of {name} are not closed", where, number)
        cut = len(quotes or "")
        found.append(Directive(name, value[cut : len(value) - cut], number, word))
    return found


def named_files(
    directives: Sequence[Directive], folder: Path, where: str, is_file: Callable[[Path], bool]
) -> list[Path]:
    """Return the files in FROM, relative to the Modelfile's folder, each once.

    As in Ollama, any name is that of a file if the file exists.

    Raises:
        KitError: FROM is missing, or one of them does not name a file (``KIT_INVALID``).
    """
    names = [item for item in directives if item.name == "FROM" and item.value]
    if not names:
        raise failure("KIT_INVALID", "the Modelfile has no FROM", where=where)
    return list(dict.fromkeys(_path(item, folder, where, is_file) for item in names))


def _path(item: Directive, folder: Path, where: str, is_file: Callable[[Path], bool]) -> Path:
    value, at = item.value, f"{where}:{item.line}"
    if is_file(folder / value):
        return folder / value
    if _OTHER_DISK.match(value):
        message = f"FROM names {shown(value)}, which is a path on Windows"
        raise failure(
            "KIT_INVALID", message, where=at, hint="write the file's path on this machine"
        )
    if value.startswith((".\\", "..\\")):
        value = value.replace("\\", "/")
    # Ollama's own files have their digests as names: .../blobs/sha256-...
    if value.endswith(".gguf") or value.startswith((".", "/", "~")):
        try:
            return folder / Path(value).expanduser()
        except RuntimeError as error:  # the user does not exist
            message = f"FROM names {shown(value)}, the home of a user who does not exist"
            raise failure("KIT_INVALID", message, where=at) from error
    if found := _ON_THE_HUB.match(value):
        hint = f"mealkit new NAME --from hub {value[found.end() :]}"
    else:
        hint = (
            f"find Ollama's file of the model (ollama show --modelfile {value}) and write"
            " FROM that file, or name the model's repository: mealkit new NAME --from hub ..."
        )
    message = f"FROM names {shown(value)}, which is not a file"
    raise failure("KIT_INVALID", message, where=at, hint=hint)


def _value(first: str, lines: Sequence[str], at: int) -> tuple[str, int]:
    """Return a value with the lines up to its closing quotes, and the line after it.

    As in Ollama, quotes close a value only at the end of a line.
    """
    value = first.strip()
    quotes = _opened(value)
    if quotes is None or _is_closed(value, quotes):
        return value, at
    parts = [first.lstrip()]
    # Only the last line can close the value: joining them all each time would take too long.
    while at < len(lines):
        parts.append(lines[at])
        at += 1
        if parts[-1].rstrip().endswith(quotes):
            parts[-1] = parts[-1].rstrip()
            if _is_closed("\n".join(parts), quotes):
                break
    return "\n".join(parts), at


def _opened(value: str) -> str | None:
    return next((quotes for quotes in _QUOTES if value.startswith(quotes)), None)


def _is_closed(value: str, quotes: str) -> bool:
    return len(value) >= 2 * len(quotes) and value.endswith(quotes)


def _wrong(message: str, where: str, line: int) -> MealkitError:
    return failure("KIT_INVALID", message, where=f"{where}:{line}")
