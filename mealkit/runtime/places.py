"""Where things are in the image, unless an environment variable says otherwise; where health is.

Imports nothing.
"""

DEFAULTS = {
    "MEALKIT_HOST": "0.0.0.0",  # noqa: S104  it is alone in its container
    "MEALKIT_MODELS": "/models",
    "MEALKIT_ETC": "/etc/mealkit",
    "MEALKIT_STATE": "/var/lib/mealkit",
    "MEALKIT_ENGINE_PATH": "/opt/mealkit/lib:/opt/mealkit/engine",
    "MEALKIT_TERMINATION_LOG": "/dev/termination-log",
}

LOCK_NAME = "kit.lock"

LIVE_PATHS = ("/v1/health/live", "/healthz")
# vLLM, KServe and llm-d ask /health, SageMaker /ping; both mean "can it answer".
READY_PATHS = ("/v1/health/ready", "/readyz", "/health", "/ping")
METRICS_PATH = "/metrics"
DOCS_PATH, OPENAPI_PATH = "/docs", "/openapi.json"
