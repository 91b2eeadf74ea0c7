"""Files in requests and answers: base64, data: URLs, and URLs that the kit allows.

Raises errors for files over the kit's limit, for text that is not base64, and for URLs that are not
allowed. data: URLs: https://datatracker.ietf.org/doc/html/rfc2397. Imports only the standard
library.
"""

import base64
import binascii
import mimetypes
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from mealkit.engines.python.config import FileLimits
from mealkit.engines.python.url_fetch import fetch
from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, read_file

# The maximum number of files of one request.
MAX_FILES = 64

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_DEFAULT_TYPE = "application/octet-stream"
# Only Python's own table: the machine's tables would change the answers.
_TYPES = mimetypes.MimeTypes()
# What models read and write, and older versions of Python do not know; the last type of a suffix
# is that of an answer, and the first suffix of a type is that of an input.
for _type, _known in (
    ("image/jpg", ".jpg"),
    ("image/jpeg", ".jpg"),
    ("image/webp", ".webp"),
    ("audio/x-wav", ".wav"),
    ("audio/wave", ".wav"),
    ("audio/wav", ".wav"),
    ("audio/x-flac", ".flac"),
    ("audio/flac", ".flac"),
    ("audio/ogg", ".ogg"),
    ("audio/mp3", ".mp3"),
    ("audio/mpeg", ".mp3"),
    ("audio/x-m4a", ".m4a"),
    ("audio/mp4", ".m4a"),
    ("audio/webm", ".webm"),
    ("video/webm", ".webm"),
    ("video/x-matroska", ".mkv"),
    ("model/gltf-binary", ".glb"),
    ("model/gltf+json", ".gltf"),
    ("text/markdown", ".md"),
    ("application/yaml", ".yaml"),
    ("application/x-subrip", ".srt"),
    ("application/gzip", ".gz"),
):
    _TYPES.add_type(_type, _known)
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@dataclass(frozen=True, slots=True)
class _Left:
    """How much of the limit for a request's files is left."""

    left_bytes: int
    limit_bytes: int


class RequestFiles:
    """The files of one request and of its answer; closing it deletes all of them."""

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._left = _Left(limits.max_file_bytes, limits.max_file_bytes)
        self._deadline = time.monotonic() + limits.fetch_seconds
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0
        self._given: dict[Path, None] = {}

    def close(self) -> None:
        """Delete the files."""
        self._delete_given(0)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def take(self, text: str, where: str) -> Path:
        """Write the content of a URL, a data: URL or base64 to a file, and return its path.

        Raises:
            RequestError: ``REQUEST_INVALID``, ``REQUEST_TOO_LARGE`` or ``REQUEST_UNSUPPORTED``,
                with ``where``.
        """
        self._count += 1
        if self._count > MAX_FILES:
            message = f"the request has more than {MAX_FILES} files"
            raise failure("REQUEST_TOO_LARGE", message, where=where)
        if text[:5].lower() == "data:":
            data, suffix = _of_data_url(text, self._left, where)
        elif text[:8].lower().startswith(("http://", "https://")):
            left_bytes = self._left.left_bytes
            fetched = fetch(text, self._limits, left_bytes, self._deadline, where)
            data, suffix = fetched.data, _suffix_of(fetched.path) or _suffix_for(fetched.media_type)
        else:
            data, suffix = _of_base64(text, self._left, where), ""
        self._left = replace(self._left, left_bytes=self._left.left_bytes - len(data))
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mealkit-request-")
        path = Path(self._folder.name) / f"{self._count}{suffix}"
        path.write_bytes(data)
        return path

    def give(self, path: Path) -> None:
        """Delete a file of the answer with the others, if it is in the temporary folder.

        Not earlier: the answer may name it again.
        """
        real = path.resolve()
        if real.is_relative_to(Path(tempfile.gettempdir()).resolve()):
            self._given.pop(real, None)
            self._given[real] = None

    def end_piece(self) -> None:
        """Delete files of earlier pieces of the answer, apart from the last ones that it named."""
        self._delete_given(MAX_FILES)

    def _delete_given(self, kept: int) -> None:
        while len(self._given) > kept:
            path = next(iter(self._given))
            del self._given[path]
            with suppress(OSError):  # the code may have deleted it
                path.unlink()


def answer_file(path: Path, max_bytes: int) -> str:
    """Return a file as a data: URL.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the file is missing or too large.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > max_bytes:
            message = (
                f"the kit's code returned a file of {size_bytes} bytes, the limit is {max_bytes}"
            )
            raise failure("ENGINE_ANSWER", message, hint="raise runtime.settings.max_file_bytes")
        data = read_file(path, max_bytes)
    except OSError as error:
        message = f"the kit's code returned a file that cannot be read: {error.strerror}"
        raise failure("ENGINE_ANSWER", message) from error
    except UntrustedError as error:
        message = f"the kit's code returned a path that cannot be read: {error}"
        raise failure("ENGINE_ANSWER", message) from error
    media_type, encoding = _TYPES.guess_type(path.name)
    if encoding is not None:
        media_type = _COMPRESSED.get(encoding)
    media_type = media_type or _DEFAULT_TYPE
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _of_data_url(text: str, left: _Left, where: str) -> tuple[bytes, str]:
    head, comma, body = text[5:].partition(",")
    if not comma:
        raise failure("REQUEST_INVALID", f"{where} is a data: URL without a comma", where=where)
    media_type, *parameters = head.split(";")
    if parameters and parameters[-1].strip().lower() == "base64":
        data = _of_base64(body, left, where)
    else:
        if len(body) > left.left_bytes * 3:
            raise _too_large(where, left, len(body) // 3)
        data = unquote_to_bytes(body)
    if len(data) > left.left_bytes:
        raise _too_large(where, left, len(data))
    # The gateway adds the name of a file that came in a form.
    named = next((item[5:] for item in parameters if item[:5].lower() == "name="), "")
    suffix = _suffix_of(unquote(named)) or _suffix_for(media_type.strip().lower() or "text/plain")
    return data, suffix


def _of_base64(text: str, left: _Left, where: str) -> bytes:
    if len(text) // 4 * 3 > left.left_bytes + 2:
        raise _too_large(where, left, len(text) // 4 * 3 - text[-2:].count("="))
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        message = f"{where} is not a URL, a data: URL or base64"
        raise failure("REQUEST_INVALID", message, where=where) from error
    if len(data) > left.left_bytes:
        raise _too_large(where, left, len(data))
    return data


def _too_large(where: str, left: _Left, size_bytes: int) -> MealkitError:
    message = (
        f"{where} has {size_bytes} bytes, more than the {left.left_bytes} bytes that are left for"
        " files"
    )
    if left.left_bytes < left.limit_bytes:
        message += f"; all files of a request may have {left.limit_bytes}"
    message += " (runtime.settings.max_file_bytes)"
    return failure("REQUEST_TOO_LARGE", message, where=where)


def _suffix_of(path: str) -> str:
    found = _SUFFIX.search(path)
    return found[0].lower() if found else ""


def _suffix_for(media_type: str) -> str:
    return _TYPES.guess_extension(media_type) or ""
