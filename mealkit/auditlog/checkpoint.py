"""Checkpoints of an audit log: how far a chain had come, to be kept where its host cannot reach it.

A chain that is shorter than a checkpoint was cut. A kit writes checkpoints to its own log, so they
leave the machine with it.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mealkit.auditlog.audit_key import AuditKey
from mealkit.auditlog.audit_line import number_field, text_field
from mealkit.untrusted import UntrustedError, parse_json_object

EVENT = "audit checkpoint"
"""The event of the line in the kit's log."""

_MAX_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a chain after a line that is on the disk."""

    chain: str
    n: int
    """The number of the line."""
    code: str
    """The line's code, in hex."""
    key: str
    """The id of the key."""
    time: str
    mac: str = ""
    """An HMAC of all that, so that nothing else in the kit's log can look like a checkpoint."""

    def sealed(self, key: AuditKey) -> "Checkpoint":
        """Return the checkpoint with its HMAC."""
        values = asdict(self) | {"mac": _mac(self, key)}
        return Checkpoint(**values)

    def is_of(self, key: AuditKey) -> bool:
        """Return whether a holder of the key has made it."""
        return hmac.compare_digest(self.mac, _mac(self, key))

    def as_json(self) -> dict[str, Any]:
        """Return its members."""
        return asdict(self)


def checkpoint_of(form: Mapping[str, Any]) -> Checkpoint | None:
    """Read the members of a checkpoint; None if they are not one."""
    names = ("chain", "code", "key", "time", "mac")
    found = Checkpoint(
        n=number_field(form, "n"), **{name: text_field(form, name) for name in names}
    )
    return found if found.n > 0 and found.chain and found.code else None


def checkpoints_in(lines: Iterable[bytes]) -> Iterator[Checkpoint]:
    """Yield the checkpoints among the lines of a kit's log; other lines are skipped."""
    for number, line in enumerate(lines):
        if number >= _MAX_LINES:
            return
        if EVENT.encode() not in line:
            continue
        # Container engines put times in front of the lines.
        _, brace, rest = line.partition(b"{")
        try:
            form = parse_json_object(brace + rest.strip(), max_depth=8, max_values=1000)
        except UntrustedError:
            continue
        if form.get("event") == EVENT and (found := checkpoint_of(form)):
            yield found


def _mac(found: Checkpoint, key: AuditKey) -> str:
    text = f"mealkit audit checkpoint\n{found.chain}\n{found.n}\n{found.code}\n{found.time}"
    return hmac.new(key.secret, text.encode(), "sha256").hexdigest()
