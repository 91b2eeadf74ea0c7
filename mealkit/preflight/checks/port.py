"""Checks that the kit's port on the machine is free."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block a start if a process listens on the port; otherwise warn: the port can be changed.

    Returns None for machines that are only described.
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
    rule="no process listens on the kit's port",
    source="bind(2): EADDRINUSE",
    look=look,
    of_gpus=False,
)
