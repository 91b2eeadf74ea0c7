"""One request in the audit log: what was asked of a kit, by whom, and what came of it.

A request that the kit begins to answer has two lines: ``begun`` before the engine gets it, and
``request`` at its end. So a kit that is killed in the middle has a record of what it was doing. A
request that is refused earlier has only the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from mealkit.auditlog.audit_line import encoded

# Written by hand, because an encoder of whole objects takes three times as long.
_text = encode_basestring_ascii

BEGUN = "begun"
REQUEST = "request"


@dataclass(frozen=True, slots=True)
class BegunRequest:
    """The fields of a line ``begun``."""

    time: str
    """When the request came, as RFC 3339 with microseconds, in UTC."""
    id: str
    """The request's id."""
    key: str
    """The name of the caller's key; empty if callers need none."""
    path: str
    prompt: str
    """The name of the kit's prompt that was used; empty if none was."""
    input_sha256: str
    """The digest of the caller's body, unpacked."""

    def encoded(self) -> bytes:
        """Return the fields as they are written."""
        return (
            f'"time":{_text(self.time)},"id":{_text(self.id)},"key":{_text(self.key)},'
            f'"path":{_text(self.path)},"prompt":{_text(self.prompt)},'
            f'"input_sha256":{_text(self.input_sha256)}'
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """The fields of a line ``request``."""

    begun: int
    """The number of the line ``begun``; 0 if there is none."""
    time: str
    """When the request came, as RFC 3339 with microseconds, in UTC."""
    id: str
    """The request's id."""
    key: str
    """The name of the caller's key; empty if callers need none."""
    method: str
    path: str
    prompt: str
    """The name of the kit's prompt that was used; empty if none was."""
    outcome: str
    """answered, refused, failed or cut."""
    status: int
    problem: str
    """The problem's code; empty if there was none."""
    owner: str
    """The problem's owner."""
    request_bytes: int
    """The size of the caller's body, unpacked."""
    answer_bytes: int
    prompt_tokens: int | None
    """None if the engine did not count them."""
    answer_tokens: int | None
    cost: str
    """What was booked, in the currency of ``ops.cost``; empty without prices."""
    input_sha256: str
    """The digest of the caller's body, unpacked; empty if it was not read."""
    output_sha256: str
    """The digest of the answer's body, as far as it was sent."""
    seconds: float
    texts: Mapping[str, Any] | None = None
    """The bodies themselves, if the kit asks for them."""

    def encoded(self, further: bytes) -> bytes:
        """Return the fields as they are written; ``further`` are encoded fields of every line.

        The number of the line ``begun`` comes first, where a reader finds it without parsing.
        """
        begun = f'"begun":{self.begun},' if self.begun else ""
        texts = b"," + encoded({"texts": self.texts}) if self.texts is not None else b""
        line = (
            f'{begun}"time":{_text(self.time)},"id":{_text(self.id)},"key":{_text(self.key)},'
            f'"method":{_text(self.method)},"path":{_text(self.path)},'
            f'"prompt":{_text(self.prompt)},"outcome":{_text(self.outcome)},'
            f'"status":{self.status},"problem":{_text(self.problem)},"owner":{_text(self.owner)},'
            f'"request_bytes":{self.request_bytes},"answer_bytes":{self.answer_bytes},'
            f'"prompt_tokens":{_number(self.prompt_tokens)},'
            f'"answer_tokens":{_number(self.answer_tokens)},"cost":{_text(self.cost)},'
            f'"input_sha256":{_text(self.input_sha256)},'
            f'"output_sha256":{_text(self.output_sha256)},"seconds":{self.seconds!r},'
        )
        return line.encode("ascii") + further + texts


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)
