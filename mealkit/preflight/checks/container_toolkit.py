"""Can the container client hand on GPUs: NVIDIA's toolkit for Docker, nothing for the sandbox."""

from mealkit.preflight.container_client import Client
from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

_KIND = "nvidia.com/gpu"


def client_of(facts: Facts, context: Context) -> Client | None:
    """Return the client that will be used: the named one, or the first that works."""
    for client in facts.clients:
        if client.name == context.client or (context.client is None and not client.problem):
            return client
    return None


def look(facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block where Docker knows no way to hand on GPUs; warn of the sandbox. Only on the host."""
    client = client_of(facts, context)
    nvidia = any(device.maker == "NVIDIA" for device in devices_of(facts))
    if context.inside or client is None or not nvidia or client.name not in {"docker", "sandbox"}:
        return None
    ways = [name for name in client.runtimes if name == "nvidia"]
    ways += sorted(facts.toolkit.programs)
    ways += [_KIND] if client.cdi_folders and facts.toolkit.describes(_KIND) else []
    severity = Severity.PASSES if ways else Severity.BLOCKS
    measured, fix = ", ".join(ways) or "neither its programs nor its runtime", None
    if client.name == "sandbox":
        severity, measured = Severity.WARNS, "the sandbox hands on device files alone"
        fix = "use --client docker or podman, or an image that holds the driver's libraries"
    elif severity is Severity.BLOCKS and client.data_root is None:
        # The daemon runs elsewhere, with programs of its own.
        severity = Severity.WARNS
    return Finding(
        code="HOST_TOOLKIT_MISSING",
        severity=severity,
        measured=measured,
        required="NVIDIA's container toolkit",
        message=f"how {client.name} hands on GPUs",
        fix=fix,
    )


CHECK = Check(
    code="HOST_TOOLKIT_MISSING",
    rule="Docker hands on GPUs by NVIDIA's toolkit, its runtime, or a CDI spec",
    source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
    look=look,
)
