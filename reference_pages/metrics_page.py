"""Writes the reference page of the metrics: those that a gateway prints after one of each event."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from mealkit.errors import problem
from mealkit.ledger.budget_rules import Balance, BudgetRule
from mealkit.ledger.periods import span_of
from mealkit.recipe.data_contract import RULES, DataContract, InputContract, LengthRule
from mealkit.recipe.lock import read_lock
from mealkit.recipe.operations import Budget
from mealkit.runtime.api.endpoints import ENDPOINTS
from mealkit.runtime.api.usage import TokenUsage
from mealkit.runtime.state import Lifecycle, Status
from mealkit.runtime.watch.budget_metrics import BudgetGauges
from mealkit.runtime.watch.metrics import Metrics

_ABOUT = """\
A kit prints its metrics at `/metrics`, in Prometheus' text format. The configuration of a scrape,
and alerts, are in [Monitor with Prometheus](../how-to/monitor-with-prometheus.md).

A histogram has a series for each bucket, `..._bucket`, and `..._sum` and `..._count`. The labels'
values are the kit's or mealkit's own; no text of a caller is a label, so callers cannot add series.
"""
_LABELS = {
    "field": "the name of an input in the kit's data contract",
    "rule": ", ".join(f"`{rule.removesuffix('_')}`" for rule in RULES),
    "kit": "the kit's name",
    "version": "the kit's version",
    "recipe": "the recipe digest",
    "image": "the image's digest; empty if it was not stated at the start",
    "engine": "the engine's name",
    "team": "the team that owns the kit",
    "key": "the name of the caller's key; `-` without one, empty for all keys",
    "budget": "the budget's name; `key:NAME` is the budget of a key's line",
    "currency": "the currency of `ops.cost`",
    "unit": "the currency of `ops.cost`, or `tokens`",
    "type": "`input` or `output`",
    "case": "the name of the kit's first case",
    "state": ", ".join(f"`{status}`" for status in Status),
    "phase": "`preflight`, `verifying`, `loading` or `warming`; they overlap",
    "route": "an endpoint's path, or `other` for all other paths and `/v1/models/NAME`",
    "status": "the HTTP status; `499` if the caller disconnected before the answer",
    "code": "a code of the [problems](problems.md)",
    "owner": "who can solve the problem",
    "result": "`ok` or `failed`",
    "error_type": "a problem's code; empty for an answer",
    "gen_ai_provider_name": "`mealkit`",
    "gen_ai_request_model": "the name of the kit's model",
    "gen_ai_token_type": "`input` or `output`",
}
_KIT = Path(__file__).parent.parent / "kits" / "rake" / "kit.lock"
_CONTRACT = DataContract(inputs={"input": InputContract(length=LengthRule())})
_GROUPS = (
    ("mealkit_", "The gateway", "Names of mealkit's own."),
    (
        "gen_ai_",
        "The engine's work",
        "OpenTelemetry's semantic conventions for generative AI, with the buckets they advise.",
    ),
    ("process_", "The gateway's process", "Without the engine's, which is another process."),
)
_ENGINES_OWN = """
## The engine's own

An engine that has metrics of its own adds them: vLLM's begin with `vllm:` and are described by
vLLM. They are missing while it loads or hangs, and `mealkit_worker_metrics_available`, a gauge, is
0 then and 1 otherwise. Kits of other engines do not have this gauge.
"""


def metrics_page() -> str:
    """Return the page."""
    return "\n".join([*_lines(), _ENGINES_OWN.rstrip()]) + "\n"


def _lines() -> Iterator[str]:
    yield from ("# Metrics", "", _ABOUT.rstrip())
    found = [family for family in _families() if family.samples]
    for prefix, title, about in _GROUPS:
        yield from ("", f"## {title}", "", about, "", "| name | type | labels | meaning |")
        yield "|---|---|---|---|"
        yield from (_row(family) for family in found if family.name.startswith(prefix))
    yield from ("", "## Labels", "", "| label | values |", "|---|---|")
    operations = ", ".join(sorted({f"`{endpoint.operation}`" for endpoint in ENDPOINTS}))
    known = {**_LABELS, "gen_ai_operation_name": f"{operations}"}
    yield from (f"| `{label}` | {known[label]} |" for label in sorted(_labels(found)))


def _families() -> list[Metric]:
    """Return what a kit prints that has seen everything once, sorted by name."""
    metrics = Metrics("model")
    metrics.count_connections(lambda: 1)
    lifecycle = Lifecycle(lambda: 0.0)
    lifecycle.begin("loading")
    metrics.moved(lifecycle.snapshot())
    metrics.identify(read_lock(_KIT.read_bytes()), "")
    metrics.watch_exchanges(["key"], "EUR")
    metrics.answered("/v1/chat/completions", 200, 1.0)
    metrics.used("chat", TokenUsage(2, 2), 1.0, 0.5)
    metrics.missed("chat", 1.0, "REQUEST_TIMEOUT")
    metrics.failed(problem("REQUEST_TIMEOUT", ""))
    metrics.compared("salt", is_met=True)
    metrics.watch_audit()
    budget = BudgetRule.of(Budget(name="monthly", tokens=1))
    balance = Balance(budget, "", span_of(budget.period, 0.0))
    metrics.register(BudgetGauges(lambda: [balance], "EUR"))
    metrics.watch_data(_CONTRACT).watch_drift(lambda: {"input": 0.0})
    families = text_string_to_metric_families(metrics.text().decode())
    return sorted(families, key=lambda family: family.name)


def _row(family: Metric) -> str:
    total = "_total" if family.type == "counter" else ""
    labels = ", ".join(f"`{label}`" for label in sorted(_labels([family])))
    meaning = family.documentation.removesuffix(".")
    return f"| `{family.name}{total}` | {family.type} | {labels} | {meaning} |"


def _labels(families: list[Metric]) -> set[str]:
    return {label for item in families for sample in item.samples for label in sample.labels} - {
        "le"
    }
