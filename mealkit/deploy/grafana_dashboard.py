"""A dashboard for Grafana: what a kit is, how it is, what it answers, what it costs.

The form is that of dashboards as Grafana exports them (schema version 39, Grafana 10 and later):
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# A dashboard is 24 columns wide.
_COLUMNS = 24
_SCHEMA = 39
_SOURCE = {"type": "prometheus", "uid": "${source}"}
KIT = '{job=~"$job",instance=~"$instance"}'
"""The selector of the kits that are chosen on the dashboard."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel."""

    expression: str
    legend: str
    has_exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a number, a list or lines over time."""

    title: str
    about: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    """timeseries, stat, or table."""
    unit: str = "short"
    columns: int = 8
    rows: int = 7


def _kit(metric: str, *more: str) -> str:
    """Return a metric of the chosen kits."""
    return f"{metric}{{{','.join([KIT[1:-1], *more])}}}"


def _rate(metric: str, *more: str) -> str:
    return f"rate({_kit(metric, *more)}[$__rate_interval])"


def _quantile(part: float, metric: str, *by: str) -> str:
    labels = ", ".join(("le", "instance", *by))
    return f"histogram_quantile({part}, sum by ({labels}) ({_rate(f'{metric}_bucket')}))"


_FIRST = "gen_ai_server_time_to_first_token_seconds"

PANELS = (
    Panel(
        "What runs",
        "The kit, its version, its recipe and the image, of each target.",
        (Query(_kit("mealkit_info"), ""),),
        kind="table",
        columns=16,
        rows=5,
    ),
    Panel(
        "Ready",
        "1: the kit answers requests.",
        (Query(_kit("mealkit_state", 'state="ready"'), "{{instance}}"),),
        kind="stat",
        columns=4,
        rows=5,
    ),
    Panel(
        "Engine restarts, 24 h",
        "How often the engine died or hung, and was started again.",
        (Query(f"increase({_kit('mealkit_worker_restarts_total')}[24h])", "{{instance}}"),),
        kind="stat",
        columns=4,
        rows=5,
    ),
    Panel(
        "Requests",
        "Requests per second, by their status.",
        (
            Query(
                f"sum by (instance, status) ({_rate('mealkit_requests_total')})",
                "{{instance}} {{status}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "Problems",
        "Problems in the last hour, by code, and who can solve them.",
        (
            Query(
                "sum by (instance, code, owner)"
                f" (increase({_kit('mealkit_failures_total')}[1h])) > 0",
                "{{code}} ({{owner}}) {{instance}}",
            ),
        ),
        unit="none",
    ),
    Panel(
        "Seconds to an answer",
        "Half of the answers, and 95 % of them, took at most so long. Points are single requests.",
        (
            Query(_quantile(0.5, "mealkit_request_seconds", "route"), "p50 {{route}} {{instance}}"),
            Query(
                _quantile(0.95, "mealkit_request_seconds", "route"),
                "p95 {{route}} {{instance}}",
                has_exemplars=True,
            ),
        ),
        unit="s",
    ),
    Panel(
        "Seconds to the first token",
        "Of streamed answers.",
        (
            Query(_quantile(0.5, _FIRST), "p50 {{instance}}"),
            Query(_quantile(0.95, _FIRST), "p95 {{instance}}"),
        ),
        unit="s",
    ),
    Panel(
        "Load",
        "Requests at the engine, and in the queue.",
        (
            Query(_kit("mealkit_requests_running"), "running {{instance}}"),
            Query(_kit("mealkit_requests_waiting"), "waiting {{instance}}"),
        ),
        unit="none",
    ),
    Panel(
        "Seconds in the queue",
        "95 % of the requests waited at most so long for the engine.",
        (Query(_quantile(0.95, "mealkit_queue_seconds"), "p95 {{instance}}"),),
        unit="s",
    ),
    Panel(
        "Tokens per second",
        "Tokens that the engine counted.",
        (Query(f"sum by (instance) ({_rate('mealkit_tokens_total')})", "{{instance}}"),),
        unit="none",
    ),
    Panel(
        "Tokens by key, 24 h",
        "Which key has used how many tokens.",
        (
            Query(
                f"sum by (key, type) (increase({_kit('mealkit_key_tokens_total')}[24h]))",
                "{{key}} {{type}}",
            ),
        ),
        unit="none",
    ),
    Panel(
        "Cost by key, 24 h",
        "What was booked for the requests of each key. Kits with prices (ops.cost).",
        (
            Query(
                f"sum by (key, currency) (increase({_kit('mealkit_key_cost_total')}[24h]))",
                "{{key}} {{currency}}",
            ),
        ),
        unit="none",
    ),
    Panel(
        "Budgets",
        "The part of each budget that is spent or reserved in its period. Kits with budgets.",
        (
            Query(
                "max by (job, budget, unit, key)"
                f" ({_kit('mealkit_budget_spent')} / {_kit('mealkit_budget_limit')})",
                "{{budget}} {{key}} {{unit}}",
            ),
        ),
        unit="percentunit",
    ),
    Panel(
        "Drift",
        "How far what callers send is from the kit's data; above 0.25 is far. Kits with a profile.",
        (Query(_kit("mealkit_data_drift"), "{{field}} {{instance}}"),),
        unit="none",
    ),
    Panel(
        "Data violations",
        "Requests per second that violate a rule of the data contract. Kits with a contract.",
        (
            Query(
                f"sum by (instance, field, rule) ({_rate('mealkit_data_violations_total')})",
                "{{field}} {{rule}} {{instance}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "Seconds of the start",
        "How long each phase of the last start took.",
        (Query(_kit("mealkit_startup_seconds"), "{{phase}} {{instance}}"),),
        unit="s",
    ),
    Panel(
        "The gateway's memory",
        "Without the engine's, which is another process.",
        (Query(_kit("process_resident_memory_bytes"), "{{instance}}"),),
        unit="bytes",
    ),
)
"""The panels, from what is looked at first to what is looked at last."""


def grafana_dashboard() -> dict[str, Any]:
    """Return the dashboard as JSON that Grafana imports."""
    return {
        "title": "mealkit",
        "uid": "mealkit",
        "tags": ["mealkit"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _variable("job"), _variable("instance")]},
        "panels": list(_placed()),
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(label: str) -> dict[str, Any]:
    earlier = '{job=~"$job"}' if label == "instance" else ""
    query = f"label_values(mealkit_info{earlier}, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed() -> Iterator[dict[str, Any]]:
    """Yield the panels, from left to right and from top to bottom."""
    x = y = rows = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.columns > _COLUMNS:
            x, y, rows = 0, y + rows, 0
        place = {"x": x, "y": y, "w": panel.columns, "h": panel.rows}
        yield {"id": number, "gridPos": place, **_panel(panel)}
        x, rows = x + panel.columns, max(rows, panel.rows)


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "exemplar": query.has_exemplars,
                **({"format": "table", "instant": True} if panel.kind == "table" else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
    }
