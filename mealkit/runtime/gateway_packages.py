"""The Python packages of the image's gateway, as pip writes them; the lock pins their wheels."""

from collections.abc import Iterator

from mealkit.recipe.kit import Kit

GATEWAY_REQUIREMENTS: tuple[str, ...] = (
    "starlette>=1.10",
    "uvicorn>=0.54",
    "h11>=0.16",
    "prometheus-client>=0.26",
    "pydantic>=2.12",
    "jinja2>=3.1",
    "nvidia-ml-py>=13.580",
)
"""The packages of every gateway. Locks contain a digest of this text: a change makes all stale."""

GATEWAY_BOUNDS: tuple[str, ...] = ("uvicorn<0.55",)
"""Upper bounds of versions for new locks: `mealkit.runtime.http.protocol` subclasses private
parts of uvicorn, and was tested with these versions. Locks contain no digest of this text, so a
lock stays valid when a bound changes."""

# jsonschema-rs checks JSON Schemas, py3langid tells the language of a text.
_SCHEMAS, _LANGUAGES = "jsonschema-rs>=0.60", "py3langid>=0.4"
# The client of PostgreSQL, for budgets that replicas share.
_DATABASE = "psycopg[binary]>=3.2"
_TELEMETRY = ("opentelemetry-sdk>=1.40", "opentelemetry-exporter-otlp-proto-http>=1.40")


def gateway_requirements(kit: Kit) -> tuple[str, ...]:
    """Return the packages of a kit's gateway: some are only for what the kit states."""
    return (*GATEWAY_REQUIREMENTS, *dict.fromkeys(_further(kit)))


def _further(kit: Kit) -> Iterator[str]:
    inputs = tuple(kit.data.inputs.values()) if kit.data else ()
    if any("schema" in rules.active for rules in inputs) or any(
        expected.schema_ is not None for case in kit.cases for expected in case.expect
    ):
        yield _SCHEMAS
    if any("languages" in rules.active for rules in inputs):
        yield _LANGUAGES
    if kit.ops and kit.ops.cost and kit.ops.cost.shared:
        yield _DATABASE
    if kit.ops and kit.ops.telemetry:
        yield from _TELEMETRY
