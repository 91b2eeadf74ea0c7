"""One request in the audit log: what was asked of a kit, by whom, and what came of it.

A request that the kit begins to answer has two lines: ``begun`` before the engine gets it, and
``request`` at its end. So a kit that is killed in the middle has a record of what it was doing. A
request that is refused earlier has only the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.auditlog.audit_line import encoded

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
        return encoded(
            {
                "time": self.time,
                "id": self.id,
                "key": self.key,
                "path": self.path,
                "prompt": self.prompt,
                "input_sha256": self.input_sha256,
            }
        )


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
        fields: dict[str, Any] = {"begun": self.begun} if self.begun else {}
        fields |= {
            "time": self.time,
            "id": self.id,
            "key": self.key,
            "method": self.method,
            "path": self.path,
            "prompt": self.prompt,
            "outcome": self.outcome,
            "status": self.status,
            "problem": self.problem,
            "owner": self.owner,
            "request_bytes": self.request_bytes,
            "answer_bytes": self.answer_bytes,
            "prompt_tokens": self.prompt_tokens,
            "answer_tokens": self.answer_tokens,
            "cost": self.cost,
            "input_sha256": self.input_sha256,
            "output_sha256": self.output_sha256,
            "seconds": self.seconds,
        }
        if self.texts is not None:
            fields["texts"] = self.texts
        return encoded(fields) + b"," + further
