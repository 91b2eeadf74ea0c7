"""The paths of health, metrics and the description of the API, and the start page."""

LIVE_PATHS = ("/v1/health/live", "/healthz")
# vLLM, KServe and llm-d request /health, SageMaker requests /ping; both mean readiness.
READY_PATHS = ("/v1/health/ready", "/readyz", "/health", "/ping")
METRICS_PATH = "/metrics"
DOCS_PATH, OPENAPI_PATH = "/docs", "/openapi.json"
START_PATH = "/"
