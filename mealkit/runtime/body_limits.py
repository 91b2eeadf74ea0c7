"""How large a request may be: a body, and the files in it.

``serving.max_body`` is the limit without files. An engine that takes files has the setting
``max_file_bytes``, for all files of a request together. Both are promises, so a body may have as
many bytes as the two together, with the files in base64. Imports little, because the first process
of a container reads it before it starts the worker.
"""

from collections.abc import Mapping

from mealkit.units import parse_size, show_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FILE_SETTING = "max_file_bytes"
# The worker gets what the gateway has read, written again: at worst an escape for each byte.
_REWRITTEN = 8
_LEAST_WORKER_BYTES = 32 * 1024 * 1024


class BodyLimit:
    """The largest body of a request."""

    __slots__ = ("file_bytes", "text_bytes", "total_bytes")

    def __init__(self, text_bytes: int, file_bytes: int = 0) -> None:
        """Allow a body of ``text_bytes``, and files of ``file_bytes`` together in it."""
        self.text_bytes = text_bytes
        self.file_bytes = file_bytes
        # Base64 has four bytes for three of a file.
        self.total_bytes = text_bytes + -(-file_bytes // 3) * 4

    @property
    def worker_bytes(self) -> int:
        """The most bytes of a request to the worker."""
        return max(_LEAST_WORKER_BYTES, _REWRITTEN * self.total_bytes)

    @property
    def without_files(self) -> "BodyLimit":
        """The limit for a kit that takes no files."""
        return BodyLimit(self.text_bytes)

    @property
    def words(self) -> str:
        """Return the limit, and what it is made of."""
        if not self.file_bytes:
            return f"{self.total_bytes} bytes"
        return (
            f"{self.total_bytes} bytes: {show_size(self.text_bytes)} (serving.max_body) and files "
            f"of {self.file_bytes} bytes (runtime.settings.{_FILE_SETTING}) in base64"
        )


def body_limit(serving: "Mapping[str, Any]", settings: "Mapping[str, Any]") -> BodyLimit:
    """Return the limit that two sections of a lock state: the server's, and the engine's settings.

    Raises:
        ValueError, KeyError: the values are not those of a lock.
    """
    files = settings.get(_FILE_SETTING)
    return BodyLimit(parse_size(serving["max_body"]), files if type(files) is int else 0)
