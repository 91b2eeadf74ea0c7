"""The paths of URLs that are not an endpoint's: health, metrics, and the description of the API."""

LIVE_PATHS = ("/v1/health/live", "/healthz")
# vLLM, KServe and llm-d ask /health, SageMaker /ping; both mean "can it answer".
READY_PATHS = ("/v1/health/ready", "/readyz", "/health", "/ping")
METRICS_PATH = "/metrics"
DOCS_PATH, OPENAPI_PATH = "/docs", "/openapi.json"
