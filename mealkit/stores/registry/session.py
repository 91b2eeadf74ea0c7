"""The state of an upload session: the address to continue at, and the bytes received so far.

Protocol: distribution-spec v1.1, "Pushing blobs".
"""

from dataclasses import dataclass, replace

from mealkit.digest import Digest
from mealkit.stores.registry.exchange import RegistryAnswer, words_of

# A compromise between round trips and the cost of a lost connection. Registries may state less.
PIECE_BYTES = 32 * 1024 * 1024
_LEAST_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """An open upload session: the address to continue at, and how many bytes the registry has."""

    location: str
    offset: int = 0
    is_pieced: bool = False
    piece_bytes: int = PIECE_BYTES
    least_bytes: int = _LEAST_PIECE_BYTES


def closing(location: str, digest: Digest) -> str:
    """Add the digest to a session's address, whose own query must stay as it is."""
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


def within_limits(upload: Upload, answer: RegistryAnswer) -> Upload:
    """Raise the piece size to ``OCI-Chunk-Min-Length`` ("Pushing a blob in chunks")."""
    text = answer.headers.get("oci-chunk-min-length", "")
    if not text.isdigit():
        return upload
    least = max(int(text), 1)
    return replace(upload, least_bytes=least, piece_bytes=max(least, upload.piece_bytes))


def held_bytes(answer: RegistryAnswer, otherwise: int) -> int:
    """Read how many bytes a registry has from ``Range: 0-LAST``; ``0-0`` means none."""
    start, dash, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    if start != "0" or not dash or not last.isdigit():
        return otherwise
    return int(last) + 1 if int(last) else 0


def says_digest(answer: RegistryAnswer) -> bool:
    """Return whether a registry refuses bytes because they do not match the digest."""
    return answer.status == 400 and "DIGEST_INVALID" in words_of(answer.body)
