"""Checks that the GPUs have a CDI spec, for clients that need one to pass them to containers."""

from mealkit.preflight.checks.container_toolkit import client_of
from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

_KIND = "nvidia.com/gpu"


def look(facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block if podman finds none; warn if the folders could not be read. Only on the host."""
    client = client_of(facts, context)
    nvidia = any(device.maker == "NVIDIA" for device in devices_of(facts))
    if context.inside or client is None or client.name != "podman" or not nvidia:
        return None
    kinds = sorted({spec.kind or "unreadable" for spec in facts.toolkit.cdi})
    severity = Severity.PASSES
    if not facts.toolkit.describes(_KIND):
        unsure = facts.toolkit.unknown or "unreadable" in kinds
        severity = Severity.WARNS if unsure else Severity.BLOCKS
    return Finding(
        code="HOST_CDI_MISSING",
        severity=severity,
        measured=", ".join(kinds) or facts.toolkit.unknown.get("cdi", "no CDI spec"),
        required=_KIND,
        message="CDI specs in /etc/cdi and /var/run/cdi",
    )


CHECK = Check(
    code="HOST_CDI_MISSING",
    rule="podman passes GPUs to containers by a CDI spec of the kind nvidia.com/gpu",
    source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html",
    look=look,
)
