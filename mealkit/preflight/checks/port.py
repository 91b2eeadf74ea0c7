"""Is the port free that the kit is to be published on."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block a start where something listens; warn who only asks, and could choose another.

    Says nothing of machines that are only described.
    """
    if context.port is None or context.port_is_free is None:
        return None
    severity = Severity.BLOCKS if context.starting else Severity.WARNS
    return Finding(
        code="PORT_TAKEN",
        severity=Severity.PASSES if context.port_is_free else severity,
        measured="free" if context.port_is_free else "in use",
        required="free",
        message=f"port {context.port}",
    )


CHECK = Check(
    code="PORT_TAKEN",
    rule="nothing listens on the port that the kit is published on",
    source="bind(2): EADDRINUSE",
    look=look,
    of_gpus=False,
)
