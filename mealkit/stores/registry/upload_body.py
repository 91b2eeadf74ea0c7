"""The body of an upload: a range of a blob, with a byte count and a way to cancel it.

Raises SourceError if the blob has fewer or more bytes than announced.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mealkit.errors import failure
from mealkit.jobs import Stop
from mealkit.oci.image import Blob
from mealkit.progress import Advance


@dataclass(slots=True)
class Meter:
    """Reports each byte of one blob once, even if it is sent several times; for one thread."""

    advance: Advance
    highest: int = 0

    def reached(self, position: int) -> None:
        """Record that everything before ``position`` was sent."""
        if position > self.highest:
            self.advance(position - self.highest)
            self.highest = position


@dataclass(frozen=True, slots=True)
class BlobRange:
    """A part of a blob as a request's body; raises ``StoppedError`` after ``stop`` is set."""

    blob: Blob
    offset: int
    length: int
    meter: Meter
    stop: Stop

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield exactly ``length`` bytes, or raise ``SOURCE_CHANGED``."""
        left = self.length
        for chunk in self.blob.chunks(self.offset, self.length):
            self.stop.check()
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
            self.meter.reached(self.offset + self.length - left)
        if left:
            what = "more" if left < 0 else f"{left} bytes fewer"
            raise failure(
                "SOURCE_CHANGED",
                f"{self.blob.digest} now has {what} than its {self.blob.size_bytes} bytes",
            )
