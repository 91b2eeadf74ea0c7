"""Where things are in the image. The gateway, the plan and the sandbox all go by these paths."""

MODELS = "models"
ENGINE = "opt/mealkit/engine"
GATEWAY = "opt/mealkit/gateway"
LIBRARY = "opt/mealkit/lib"
SETTINGS = "etc/mealkit"
CODE = f"{SETTINGS}/code"
STATE = "var/lib/mealkit"
