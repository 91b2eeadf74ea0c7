"""Paths in the image, its variables, and the user of its processes; for the build and the runtime.

Imports nothing that takes time.
"""

from collections.abc import Mapping

MODELS = "models"
ENGINE = "opt/mealkit/engine"
GATEWAY = "opt/mealkit/gateway"
LIBRARY = "opt/mealkit/lib"
SETTINGS = "etc/mealkit"
CODE = f"{SETTINGS}/code"
CASES = "opt/mealkit/cases"
DATASETS = "opt/mealkit/datasets"
TESTS = "opt/mealkit/tests"
STATE = "var/lib/mealkit"
RECORDS = f"{STATE}/records"
"""Where a folder is mounted for what must outlive the container: usage, budgets, audit log."""
LOCK_NAME = "kit.lock"

VERSION_NOW, AUTHOR = ".now", ".author"
"""Beside the lock of a kit that is edited: the link to its version, and its author's file."""

USER_ID = 65532
"""The user of a kit's container; the worker is this user even if the gateway is root."""

DEFAULTS = {
    "MEALKIT_HOST": "::",
    "MEALKIT_MODELS": f"/{MODELS}",
    "MEALKIT_ETC": f"/{SETTINGS}",
    "MEALKIT_STATE": f"/{STATE}",
    "MEALKIT_ENGINE_PATH": f"/{LIBRARY}:/{ENGINE}",
    "MEALKIT_TERMINATION_LOG": "/dev/termination-log",
}
"""The defaults of the container's environment variables."""


def stated_port(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable that sets the port, and its text; None if there is none.

    It is the user's, or the one of platforms such as Knative. In Kubernetes, a service that is
    named ``mealkit`` sets ``MEALKIT_PORT`` to its address, which is no statement about this port.
    """
    # An empty PORT is that of a file with a variable that is not set.
    stated = {
        "MEALKIT_PORT": environment.get("MEALKIT_PORT"),
        "PORT": environment.get("PORT") or None,
    }
    for name, text in stated.items():
        if text is not None and not text.startswith("tcp://"):
            return name, text
    return None
