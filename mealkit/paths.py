"""Where things are in the image, and who its processes are; the same for all that build and run it.

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
"""Who a kit's container runs as; its worker stays this user even where the gateway is root."""

DEFAULTS = {
    "MEALKIT_HOST": "0.0.0.0",  # noqa: S104  it is alone in its container
    "MEALKIT_MODELS": f"/{MODELS}",
    "MEALKIT_ETC": f"/{SETTINGS}",
    "MEALKIT_STATE": f"/{STATE}",
    "MEALKIT_ENGINE_PATH": f"/{LIBRARY}:/{ENGINE}",
    "MEALKIT_TERMINATION_LOG": "/dev/termination-log",
}
"""What the container's environment variables are where they are not set."""
