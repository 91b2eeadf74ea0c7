"""Checks that the machine's clock can be right, as far as this is possible without a network."""

from datetime import UTC, datetime

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

# A clock that shows a time before this code was written is wrong.
_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Warn if the clock is certainly wrong; return None if it could be right.

    A wrong clock breaks TLS, and so every pull; but a kit that is already here still starts.
    """
    if context.clock_seconds is None or context.clock_seconds >= _WRITTEN.timestamp():
        return None
    shown = datetime.fromtimestamp(context.clock_seconds, UTC)
    return Finding(
        code="HOST_CLOCK",
        severity=Severity.WARNS,
        measured=shown.isoformat(timespec="seconds"),
        required=f"after {_WRITTEN.date().isoformat()}",
        message="the machine's clock",
    )


CHECK = Check(
    code="HOST_CLOCK",
    rule="the clock shows a time after this check was written",
    source="RFC 5280, section 4.1.2.5: certificates are not valid before their time",
    look=look,
    of_gpus=False,
)
