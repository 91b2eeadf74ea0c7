"""One line of the audit log: what was asked of a kit, by whom, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """The facts of one request. The line adds the chain: number, previous code, own code."""

    time: str
    """When the request came, as RFC 3339 with microseconds, in UTC."""
    request_id: str
    key: str
    """The name of the caller's key; empty if callers need none."""
    recipe: str
    image: str
    """The image's digest; empty if it was not stated at the start."""
    endpoint: str
    prompt: str
    """The name of the kit's prompt that was used; empty if none was."""
    request_bytes: int
    answer_bytes: int
    prompt_tokens: int
    answer_tokens: int
    cost: str
    """What was booked, in the currency of ``ops.cost``; empty without prices."""
    outcome: str
    """answered, refused, failed or cut."""
    status: int
    problem: str
    """The problem's code; empty if there was none."""
    owner: str
    """The problem's owner."""
    input_sha256: str
    """The digest of the caller's body."""
    output_sha256: str
    """The digest of the answer's body, as far as it was sent."""
    seconds: float
    texts: Mapping[str, Any] | None = None
    """Input and output themselves, if the kit asks for them."""
