"""Writes the user unit of systemd that starts a deployment with the machine, and after a crash.

The sandbox and podman have no process of their own that starts a kit again. The unit runs ``mealkit
status --keep``, which starts the revision that should run whenever it does not.
"""

from collections.abc import Sequence

from mealkit.deploy.deployment import Deployment
from mealkit.deploy.unit_text import unit_text, word

CLIENTS = frozenset({"podman", "sandbox"})
"""The container clients that need a unit."""

_POLICIES = frozenset({"always", "unless-stopped"})
_RESTART_SECONDS = "5"


def needs_unit(deployment: Deployment) -> bool:
    """Return whether a deployment is to start with the machine, and needs a unit for that."""
    has_policy = deployment.restart in _POLICIES
    return deployment.client in CLIENTS and has_policy and deployment.serving is not None


def unit_name(name: str) -> str:
    """Return the name of a deployment's unit."""
    return f"mealkit-{name}.service"


def boot_unit(deployment: Deployment, command: Sequence[str]) -> str:
    """Return the unit; ``command`` starts mealkit with the deployment's home."""
    # podman answers at a socket, from which systemd starts it.
    socket = ("podman.socket",) if deployment.client == "podman" else ()
    keeping = (*command, "status", deployment.name, "--keep")
    return unit_text(
        (
            "Unit",
            (
                ("Description", f"the deployment {deployment.name} of mealkit"),
                *((key, name) for name in socket for key in ("Wants", "After")),
            ),
        ),
        (
            "Service",
            (
                ("Type", "exec"),
                ("ExecStart", " ".join(map(word, keeping))),
                ("Restart", "on-failure"),
                ("RestartSec", _RESTART_SECONDS),
                # The kit goes on if this command is stopped: only mealkit down ends it.
                ("KillMode", "process"),
            ),
        ),
        ("Install", (("WantedBy", "default.target"),)),
        ("X-Mealkit", (("Deployment", deployment.id),)),
    )


def is_unit_of(text: str, deployment: Deployment) -> bool:
    """Return whether a unit is that of a deployment, and not of one in another home."""
    return text.endswith(unit_text(("X-Mealkit", (("Deployment", deployment.id),))))
