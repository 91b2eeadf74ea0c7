"""Reads the files that a kit names: prompts, code, wheels, and folders of weights and base image.

Works even if other parts of the kit are wrong, so that all problems are reported together.
Returns a problem for a file outside of the kit's bounds, or one that looks like a secret.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mealkit.digest import Digest
from mealkit.errors import Problem, problem
from mealkit.files.pointers import MAX_POINTER_BYTES, pointer_in
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.confidential import (
    MAX_SCANNED_BYTES,
    addresses_with_passwords,
    secret_name,
    secret_problem,
    secrets_in,
)
from mealkit.kit.document import Document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.making_scripts import made_by
from mealkit.kit.search import Search, TooManyError, has_wildcard
from mealkit.kit.wording import dotted
from mealkit.names import loose_path_fault
from mealkit.untrusted import UntrustedError, read_file

KIT_NAME = "kit.yaml"
MAX_TEXT_BYTES = 1024 * 1024
MAX_PROMPTS_CHARACTERS = 8 * 1024 * 1024
MAX_CODE_BYTES = 8 * 1024 * 1024
"""The maximum size of all files of code together: the lock contains their full text."""
MAX_CODE_FILES = 2000
MAX_CASE_FILE_BYTES = 16 * 1024 * 1024
MAX_CASE_BYTES = 64 * 1024 * 1024
"""The maximum size of all files of cases together: each opening of the kit hashes them."""
MAX_CASE_FILES = 200

_LOCK_NAME = "kit.lock"
# The maximum number of suspected secrets that are reported for one file.
_MOST_SIGHTS = 3
_IMAGE_PATHS = ("oci:", "oci-archive:")
_Words = tuple[str, str | None]


def decoded(data: bytes) -> tuple[str, tuple[str, str] | None]:
    """Return a text, or the fault and what to do about it."""
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: byte 0x{data[error.start]:02x} on line {line}"
        return "", (message, "save the file as UTF-8")


def image_path(reference: str) -> str | None:
    """Return the path of a base image on this machine; None if it is in a registry."""
    for prefix in _IMAGE_PATHS:
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return None


def source_folder(kit_folder: Path, path: str) -> Path:
    """Return the folder of a folder source, as the kit writes it.

    Raises:
        OSError: the path begins with the home of an unknown user.
    """
    try:
        return kit_folder / Path(path).expanduser()
    except RuntimeError as error:
        raise OSError(f"this user does not exist: {path}") from error


def file_entries(data: Any) -> Iterator[tuple[Any, FieldPath]]:
    """Yield the entries of a kit that name files of weights or data, and their places."""
    for index, entry in _items(_part(data, "model"), "weights"):
        yield entry, ("model", "weights", index)
    datasets = _part(data, "datasets")
    for name, entry in datasets.items() if isinstance(datasets, dict) else ():
        yield entry, ("datasets", name)


class KitFiles:
    """The files that a kit's document names; ``problems`` are those that were found so far."""

    def __init__(self, folder: Path, document: Document, bounds: Bounds) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._document = document
        self._bounds = bounds
        lifted = _part(document.data, "allow_secrets")
        self._lifted = frozenset(
            item for item in (lifted if isinstance(lifted, list) else ()) if isinstance(item, str)
        )

    def prompts(self) -> dict[str, str]:
        """Return the text of every prompt that can be read."""
        prompts = _part(self._document.data, "prompts")
        texts: dict[str, str] = {}
        read: dict[str, str | None] = {}
        size = 0
        for name, prompt in prompts.items() if isinstance(prompts, dict) else ():
            place: FieldPath = ("prompts", name, "file")
            file = _relative(_part(prompt, "file"))
            if not file:
                continue
            if file not in read:
                read[file] = self._text(file, place, "KIT_PROMPT_INVALID")
            text = read[file]
            if text is not None:
                texts[name] = text
                size += len(text)
            if size > MAX_PROMPTS_CHARACTERS:
                # Many prompts may name the same file, and the lock contains the text of each.
                message = f"all prompts together have more than {MAX_PROMPTS_CHARACTERS} characters"
                self._report("KIT_PROMPT_INVALID", ("prompts",), message)
                return texts
        return texts

    def signers(self) -> dict[str, str]:
        """Return the text of every key and signature that ``signed_by`` names, by its path."""
        texts: dict[str, str] = {}
        for index, entry in _items(_part(self._document.data, "model"), "weights"):
            for field in ("key", "signature_file"):
                place: FieldPath = ("model", "weights", index, "signed_by", field)
                name = _relative(_part(_part(entry, "signed_by"), field))
                text = self._text(name, place, "KIT_INVALID") if name else None
                if name and text is not None:
                    texts[name] = text
        return texts

    def case_files(self) -> dict[str, tuple[Digest, int]]:
        """Return digest and size of every file that a case names, by its path in the folder."""
        found: dict[str, tuple[Digest, int]] = {}
        size = 0
        for index, case in _items(self._document.data, "cases"):
            files = _part(case, "files")
            for field, name in files.items() if isinstance(files, dict) else ():
                place: FieldPath = ("cases", index, "files", field)
                if not _relative(name) or name in found:
                    continue
                data = self._open_data(name, place)
                if data is None:
                    continue
                found[name] = Digest.of(data), len(data)
                size += len(data)
                if size > MAX_CASE_BYTES or len(found) > MAX_CASE_FILES:
                    most = f"{MAX_CASE_FILES} files and {MAX_CASE_BYTES} bytes"
                    message = f"all files of cases together have more than {most}"
                    self._report("KIT_INVALID", place, message, "use smaller files")
                    return found
        return found

    def _open_data(self, name: str, place: FieldPath) -> bytes | None:
        """Return the bytes of a file of any kind that may be public."""
        if what := None if name in self._lifted else secret_name(name):
            self._secret(name, what, place)
            return None
        data = self._data(name, place, "KIT_INVALID", MAX_CASE_FILE_BYTES)
        if data is None:
            return None
        if pointer := pointer_in(data[: MAX_POINTER_BYTES + 1]):
            self._report("KIT_INVALID", place, f"{name} is {pointer.kind}", pointer.fix)
            return None
        text = data[:MAX_SCANNED_BYTES].decode(errors="replace")
        return data if self._is_open(name, text, place) else None

    def profile(self) -> str | None:
        """Return the text of the profile that ``data.profile`` names; None if there is none yet."""
        name = _relative(_part(_part(self._document.data, "data"), "profile"))
        if not name or not (self._folder / name).exists():
            return None
        return self._text(name, ("data", "profile"), "KIT_INVALID")

    def code(self) -> dict[str, str]:
        """Return the text of every file of code that can be read, by its path in the folder."""
        texts: dict[str, str] = {}
        search = Search(self._folder, self._bounds)
        seen: set[str] = set()
        for index, pattern in _items(_part(self._document.data, "runtime"), "code"):
            place: FieldPath = ("runtime", "code", index)
            if not _relative(pattern):
                continue
            for name in self._found(search, pattern, place):
                if name in seen:
                    continue
                seen.add(name)
                if len(seen) > MAX_CODE_FILES:
                    self._report(
                        "KIT_INVALID", place, f"there are more than {MAX_CODE_FILES} files"
                    )
                    return texts
                text = self._text(name, place, "KIT_INVALID")
                if text is not None:
                    texts[name] = text
        if sum(map(len, texts.values())) > MAX_CODE_BYTES:
            message = f"all files together have more than {MAX_CODE_BYTES} bytes"
            self._report("KIT_INVALID", ("runtime", "code"), message, "build a wheel of them")
        return texts

    def wheels(self) -> tuple[Path, ...]:
        """Return the local wheels' files."""
        found: list[Path] = []
        search = Search(self._folder, self._bounds)
        for index, name in _items(_part(self._document.data, "runtime"), "wheels"):
            place: FieldPath = ("runtime", "wheels", index)
            path = self._inside(name, place) if _relative(name) else None
            if path is None:
                continue
            if not path.exists():
                hint = made_by(self._document, name)
                self._report("KIT_FILE_MISSING", place, f"{name} does not exist", hint)
            elif path.is_dir():
                missing = f"{name} contains no wheel", made_by(self._document, name)
                names = self._found(search, f"{name}/*.whl", place, missing)
                found += [self._folder / item for item in names if self._is_wheel(item, place)]
            elif path.suffix != ".whl":
                self._report("KIT_INVALID", place, f"{name} is not a wheel", "name a .whl file")
            elif self._is_wheel(name, place):
                found.append(path)
        return tuple(found)

    def check_places(self) -> None:
        """Check that the folders of weights and the base image are within the bounds.

        Also that ``runtime.prepare`` is a text in the kit's folder.
        """
        if script := _relative(_part(_part(self._document.data, "runtime"), "prepare")):
            self._text(script, ("runtime", "prepare"), "KIT_INVALID")
        for path, place in self._folders():
            try:
                self._bounds.resolve(source_folder(self._folder, path))
            except OutsideError as error:
                self._outside(error, path, place, is_folder=place[-1] == "path")
            except (OSError, ValueError) as error:
                self._report("KIT_FILE_MISSING", place, f"{path!r} cannot be resolved: {error}")

    def check_own_text(self, text: str) -> None:
        """Search kit.yaml itself for secrets."""
        if KIT_NAME in self._lifted:
            return
        values = "\n".join(line.partition(" #")[0] for line in text.split("\n"))
        sights = [*islice(secrets_in(text), _MOST_SIGHTS)]
        sights += islice(addresses_with_passwords(values), _MOST_SIGHTS)
        for sight in sights:
            where = f"{self._document.name}:{sight.line}"
            self.problems.append(secret_problem(KIT_NAME, f"it contains {sight.what}", where))

    def _folders(self) -> Iterator[tuple[str, FieldPath]]:
        data = self._document.data
        for entry, at in file_entries(data):
            for step, place in ((None, entry), *_items(entry, "mirrors")):
                path = _part(place, "path")
                if _part(place, "source") == "folder" and isinstance(path, str):
                    inner = () if step is None else ("mirrors", step)
                    yield path, (*at, *inner, "path")
        reference = _part(_part(_part(data, "runtime"), "base"), "reference")
        if isinstance(reference, str) and (path := image_path(reference)) is not None:
            yield path, ("runtime", "base", "reference")

    def _found(
        self, search: Search, pattern: str, place: FieldPath, missing: _Words | None = None
    ) -> list[str]:
        """Return the files that match a pattern; no match is the problem ``missing``."""
        try:
            found = search.glob(pattern)
        except ValueError as error:
            self._report("KIT_INVALID", place, f"{pattern} is not a pattern: {error}")
            return []
        except OutsideError as error:
            self._outside(error, pattern, place)
            return []
        except (OSError, TooManyError) as error:
            self._report("KIT_INVALID", place, f"{pattern} cannot be searched for: {error}")
            return []
        if has_wildcard(pattern):  # the lock cannot contain itself
            found = [name for name in found if name != _LOCK_NAME]
        if not found:
            message, hint = missing or (f"{pattern} does not exist", None)
            self._report("KIT_FILE_MISSING", place, message, hint)
        return found

    def _is_wheel(self, name: str, place: FieldPath) -> bool:
        try:
            with self._bounds.opened(self._folder / name) as held:
                small = held.stat().st_size <= MAX_POINTER_BYTES
                pointer = pointer_in(read_file(held, MAX_POINTER_BYTES)) if small else None
        except OutsideError as error:
            self._outside(error, name, place)
        except (OSError, UntrustedError) as error:
            self._report("KIT_FILE_MISSING", place, f"{name} cannot be read: {_reason(error)}")
        else:
            if pointer is None:
                return True
            self._report("KIT_INVALID", place, f"{name} is {pointer.kind}", pointer.fix)
        return False

    def _text(self, name: str, place: FieldPath, code: str) -> str | None:
        what = None if name in self._lifted else secret_name(name)
        if what:
            self._secret(name, what, place)
            return None
        data = self._data(name, place, code)
        if data is None:
            return None
        text, fault = decoded(data)
        if fault is None and "\0" in text:
            fault = ("contains a NUL character", "name a text file")
        if pointer := pointer_in(data):
            fault = (f"is {pointer.kind}", pointer.fix)
        if fault:
            self._report(code, place, f"{Path(name).name} {fault[0]}", fault[1])
            return None
        return text if self._is_open(name, text, place) else None

    def _data(
        self, name: str, place: FieldPath, code: str, max_bytes: int = MAX_TEXT_BYTES
    ) -> bytes | None:
        path, base = self._folder / name, Path(name).name
        try:
            return self._bounds.read(path, max_bytes)
        except OutsideError as error:
            self._outside(error, name, place)
        except FileNotFoundError:
            self._report("KIT_FILE_MISSING", place, f"{base} does not exist")
        except UntrustedError:
            if path.is_file():
                message = f"{base} is larger than {max_bytes} bytes"
                self._report(code, place, message, "name the right file")
            else:
                self._report("KIT_FILE_MISSING", place, f"{base} is not a file")
        except OSError as error:
            self._report("KIT_FILE_MISSING", place, f"{base} cannot be read: {_reason(error)}")
        return None

    def _is_open(self, name: str, text: str, place: FieldPath) -> bool:
        """Return whether a text may be public; add a problem for each suspected secret."""
        if name in self._lifted:
            return True
        sights = list(islice(secrets_in(text, name), _MOST_SIGHTS))
        for sight in sights:
            self._secret(name, f"{sight.what} (its line {sight.line})", place)
        return not sights

    def _inside(self, name: str, place: FieldPath) -> Path | None:
        """Return a path that the kit names, if it is within the kit's bounds."""
        try:
            self._bounds.resolve(self._folder / name)
        except OutsideError as error:
            self._outside(error, name, place)
            return None
        except OSError:  # a loop of links
            self._report("KIT_FILE_MISSING", place, f"{name} cannot be resolved")
            return None
        return self._folder / name

    def _outside(
        self, error: OutsideError, name: str, place: FieldPath, *, is_folder: bool = False
    ) -> None:
        name, where = f"{dotted(place)}: {name}", self._document.where(place)
        self.problems.append(error.as_problem(name, where, is_folder=is_folder))

    def _secret(self, name: str, what: str, place: FieldPath) -> None:
        self.problems.append(secret_problem(name, what, self._document.where(place)))

    def _report(self, code: str, place: FieldPath, message: str, hint: str | None = None) -> None:
        where = self._document.where(place)
        self.problems.append(problem(code, f"{dotted(place)}: {message}", where=where, hint=hint))


def _relative(name: Any) -> str | None:
    """Return a path that the models also accept: a relative one without ``..``."""
    return name if isinstance(name, str) and loose_path_fault(name) is None else None


def _reason(error: OSError | UntrustedError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _part(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _items(data: Any, name: str) -> Iterator[tuple[int, Any]]:
    found = _part(data, name)
    yield from enumerate(found if isinstance(found, list) else ())
