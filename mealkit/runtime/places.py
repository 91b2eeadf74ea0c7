"""Where things are in the image, unless an environment variable says otherwise. Imports nothing."""

DEFAULTS = {
    "MEALKIT_HOST": "0.0.0.0",  # noqa: S104  it is alone in its container
    "MEALKIT_MODELS": "/models",
    "MEALKIT_ETC": "/etc/mealkit",
    "MEALKIT_STATE": "/var/lib/mealkit",
    "MEALKIT_ENGINE_PATH": "/opt/mealkit/lib:/opt/mealkit/engine",
    "MEALKIT_TERMINATION_LOG": "/dev/termination-log",
}

LOCK_NAME = "kit.lock"
