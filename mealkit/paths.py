"""Paths in the image, and the user of its processes; shared by the build and the runtime.

Imports nothing.
"""

MODELS = "models"
ENGINE = "opt/mealkit/engine"
GATEWAY = "opt/mealkit/gateway"
LIBRARY = "opt/mealkit/lib"
SETTINGS = "etc/mealkit"
CODE = f"{SETTINGS}/code"
STATE = "var/lib/mealkit"
LOCK_NAME = "kit.lock"

USER_ID = 65532
"""The user of a kit's container; the worker is this user even if the gateway is root."""

DEFAULTS = {
    "MEALKIT_HOST": "0.0.0.0",  # noqa: S104  the container has its own address
    "MEALKIT_MODELS": f"/{MODELS}",
    "MEALKIT_ETC": f"/{SETTINGS}",
    "MEALKIT_STATE": f"/{STATE}",
    "MEALKIT_ENGINE_PATH": f"/{LIBRARY}:/{ENGINE}",
    "MEALKIT_TERMINATION_LOG": "/dev/termination-log",
}
"""The defaults of the container's environment variables."""
