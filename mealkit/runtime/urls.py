"""The paths of health, metrics and the description of the API, and those of the page."""

LIVE_PATHS = ("/v1/health/live", "/healthz")
# vLLM, KServe and llm-d request /health, SageMaker requests /ping; both mean readiness.
READY_PATHS = ("/v1/health/ready", "/readyz", "/health", "/ping")
METRICS_PATH = "/metrics"
DOCS_PATH, OPENAPI_PATH = "/docs", "/openapi.json"
START_PATH = "/"

PAGE_FOLDER = "/page/"
PAGE_FILES = (
    "page.css", "start.js", "elements.js", "requests.js", "fields.js", "results.js", "trying.js",
    "generating.js", "state.js",
)  # fmt: skip
"""The scripts and the style of the page, which are the same for every kit."""
PAGE_PATHS = tuple(PAGE_FOLDER + name for name in PAGE_FILES)
