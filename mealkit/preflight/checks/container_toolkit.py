"""Checks that the container client can pass GPUs to containers: Docker needs NVIDIA's toolkit."""

from mealkit.preflight.container_client import Client
from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

_KIND = "nvidia.com/gpu"


def client_of(facts: Facts, context: Context) -> Client | None:
    """Return the client that will be used: the named one, or the first one that works."""
    for client in facts.clients:
        if client.name == context.client or (context.client is None and not client.problem):
            return client
    return None


def look(facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block if Docker cannot pass GPUs to containers; warn for the sandbox. Only on the host."""
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
        severity, measured = Severity.WARNS, "the sandbox passes only the device files"
        fix = "use --client docker or podman, or an image that contains the driver's libraries"
    elif severity is Severity.BLOCKS and client.data_root is None:
        # The daemon runs on another machine, with its own programs.
        severity = Severity.WARNS
    return Finding(
        code="HOST_TOOLKIT_MISSING",
        severity=severity,
        measured=measured,
        required="NVIDIA's container toolkit",
        message=f"how {client.name} passes GPUs to containers",
        fix=fix,
    )


CHECK = Check(
    code="HOST_TOOLKIT_MISSING",
    rule="Docker passes GPUs to containers by NVIDIA's toolkit, its runtime, or a CDI spec",
    source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
    look=look,
)
