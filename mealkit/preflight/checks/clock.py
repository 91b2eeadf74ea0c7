"""Can the machine's clock be right, as far as that shows without a network."""

from datetime import UTC, datetime

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

# No clock is right that says this code was not written yet.
_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Warn of a clock that is certainly wrong; say nothing of one that could be right.

    A wrong clock breaks TLS, and with it every pull; a kit that is here starts all the same.
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
    rule="the clock is not before the day that this check was written",
    source="RFC 5280, section 4.1.2.5: certificates are not valid before their time",
    look=look,
    of_gpus=False,
)
