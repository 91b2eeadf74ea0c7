"""A kit's folder becomes a checked kit, with the line of every field and the text of its prompts.

Refuses, all at once: text that is not YAML, fields and values that the models do not take, and
files that are missing, unreadable, or outside the folder. Reads nothing but that folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mealkit.errors import KitError, Problem, failure, problem
from mealkit.kit.document import Document, read_document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.model import Kit
from mealkit.kit.problems import problems_of
from mealkit.kit.wording import dotted

KIT_NAME = "kit.yaml"
MAX_KIT_BYTES = 1024 * 1024
MAX_TEXT_BYTES = 1024 * 1024


def _no_more(_document: Document) -> list[Problem]:
    return []


@dataclass(frozen=True, slots=True)
class LoadedKit:
    """A kit that holds, with what only its files know."""

    kit: Kit
    folder: Path
    """The folder that the kit's relative paths start from."""
    lines: Document
    """The line of every field."""
    prompts: Mapping[str, str]
    """The text of every prompt, by its name."""
    code: Mapping[str, str]
    """The text of every file of code, by its path in the folder."""
    warnings: tuple[Problem, ...]
    """What is allowed but should be known."""

    def where(self, path: FieldPath) -> str:
        """Return ``kit.yaml:LINE`` of a field, or of the nearest part around it."""
        return self.lines.where(path)


def load_kit(path: Path, check: Callable[[Document], list[Problem]] = _no_more) -> LoadedKit:
    """Read and check a kit; ``path`` is its folder or its kit.yaml.

    ``check`` adds the problems of parts that others type, so that all are told at once.

    Raises:
        KitError: with every problem that was found, in the order of their lines.
        StoreError: the file cannot be read (``DISK_DENIED``).
    """
    file = path / KIT_NAME if path.is_dir() else path
    document, found = read_document(_text_of(file), str(file))
    if document.data is None and found:
        raise KitError(*found)
    kit, refused = _validated(document)
    files = _Files(file.parent, document)
    prompts, code = files.prompts(), files.code()
    files.check_wheels()
    problems = _in_order([*found, *refused, *check(document), *files.problems])
    if problems or kit is None:
        raise KitError(*problems)
    return LoadedKit(kit, file.parent, document, prompts, code, tuple(_warnings(kit, document)))


def _validated(document: Document) -> tuple[Kit | None, list[Problem]]:
    try:
        return Kit.model_validate_json(json.dumps(document.data)), []
    except ValidationError as error:
        return None, problems_of(error, Kit, document.data, document)


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Sort by line, and tell only the first problem of a place and code."""
    kept = {(item.where, item.code, item.message): item for item in problems}

    def line(item: Problem) -> int:
        parts = (item.where or "").rpartition(":")
        return int(parts[2]) if parts[2].isdigit() else 0

    return sorted(kept.values(), key=line)


def _warnings(kit: Kit, document: Document) -> Iterator[Problem]:
    if kit.model.allow_pickle:
        message = "model.allow_pickle is true: loading these weights runs code from their author"
        yield problem(
            "KIT_PICKLE_ALLOWED", message, where=document.where(("model", "allow_pickle"))
        )


def _text_of(file: Path) -> str:
    if not file.exists():
        raise failure("KIT_NOT_FOUND", f"there is no {file}", where=str(file))
    if not file.is_file():
        raise failure("KIT_NOT_FOUND", f"{file} is not a file", where=str(file))
    try:
        text, fault = _read_text(file, MAX_KIT_BYTES)
    except OSError as error:
        raise failure("DISK_DENIED", f"{file} cannot be read", where=str(file)) from error
    if fault:
        raise failure("KIT_SYNTAX", f"the kit file {fault[0]}", where=str(file), hint=fault[1])
    return text


def _read_text(file: Path, limit_bytes: int) -> tuple[str, tuple[str, str] | None]:
    """Return a file's text, or what is wrong with it and what to do."""
    with file.open("rb") as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        return "", (f"is larger than {limit_bytes} bytes", "name the right file")
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: byte 0x{data[error.start]:02x} on line {line}"
        return "", (message, "save the file as UTF-8")


class _Files:
    """The files that a kit names, read from what it says even when other parts are wrong."""

    def __init__(self, folder: Path, document: Document) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._document = document

    def prompts(self) -> dict[str, str]:
        """Return the text of every prompt that can be read."""
        prompts = _part(self._document.data, "prompts")
        texts: dict[str, str] = {}
        for name, prompt in prompts.items() if isinstance(prompts, dict) else ():
            place: FieldPath = ("prompts", name, "file")
            file = self._inside(_part(prompt, "file"), place)
            text = self._text(file, place, "KIT_PROMPT_INVALID") if file else None
            if text is not None:
                texts[name] = text
        return texts

    def code(self) -> dict[str, str]:
        """Return the text of every file of code that can be read, by its path in the folder."""
        patterns = _part(_part(self._document.data, "runtime"), "code")
        texts: dict[str, str] = {}
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            place: FieldPath = ("runtime", "code", index)
            if self._inside(pattern, place) is None:
                continue
            try:
                found = sorted(path for path in self._folder.glob(pattern) if path.is_file())
            except ValueError as error:
                self._tell("KIT_INVALID", place, f"{pattern} is not a pattern: {error}")
                continue
            if not found:
                self._tell("KIT_FILE_MISSING", place, f"there is no {pattern}")
            for file in found:
                name = file.relative_to(self._folder).as_posix()
                text = self._text(file, place, "KIT_INVALID") if self._inside(name, place) else None
                if text is not None:
                    texts[name] = text
        return texts

    def check_wheels(self) -> None:
        """Look for the local wheels."""
        wheels = _part(_part(self._document.data, "runtime"), "wheels")
        for index, name in enumerate(wheels if isinstance(wheels, list) else ()):
            place: FieldPath = ("runtime", "wheels", index)
            path = self._inside(name, place)
            if path is None:
                continue
            if not path.exists():
                self._tell("KIT_FILE_MISSING", place, f"there is no {name}")
            elif path.is_dir() and not any(path.glob("*.whl")):
                self._tell("KIT_FILE_MISSING", place, f"there is no wheel in {name}")
            elif path.is_file() and path.suffix != ".whl":
                self._tell("KIT_INVALID", place, f"{name} is not a wheel", "name a .whl file")

    def _text(self, file: Path, place: FieldPath, code: str) -> str | None:
        name = file.name
        if not file.exists():
            self._tell("KIT_FILE_MISSING", place, f"there is no {name}")
            return None
        if not file.is_file():
            self._tell("KIT_FILE_MISSING", place, f"{name} is not a file")
            return None
        try:
            text, fault = _read_text(file, MAX_TEXT_BYTES)
        except OSError as error:
            self._tell("KIT_FILE_MISSING", place, f"{name} cannot be read: {error.strerror}")
            return None
        if fault is None and "\0" in text:
            fault = ("holds a NUL character", "name a text file")
        if fault:
            self._tell(code, place, f"{name} {fault[0]}", fault[1])
            return None
        return text

    def _inside(self, name: Any, place: FieldPath) -> Path | None:
        """Return a path that the kit names, if it leads nowhere but into the kit's folder."""
        if not isinstance(name, str) or not name or "\0" in name:
            return None  # the models have refused it
        path = Path(name)
        if path.is_absolute() or ".." in path.parts:
            return None  # the models have refused it
        try:
            inside = (self._folder / path).resolve().is_relative_to(self._folder.resolve())
        except (OSError, RuntimeError):  # a link that leads to itself
            self._tell("KIT_FILE_MISSING", place, f"{name} cannot be followed")
            return None
        if not inside:
            self._tell("KIT_PATH_OUTSIDE", place, f"{name} is a link out of the kit's folder")
            return None
        return self._folder / path

    def _tell(self, code: str, place: FieldPath, message: str, hint: str | None = None) -> None:
        where = self._document.where(place)
        self.problems.append(problem(code, f"{dotted(place)}: {message}", where=where, hint=hint))


def _part(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None
