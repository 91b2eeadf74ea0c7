"""Recording rules and alerts for Prometheus. Each alert names who can act, and its runbook.

The expressions work for one kit and for many: they keep the labels that Prometheus gives a target.
https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mealkit.errors import Owner

_GROUP = "mealkit"


@dataclass(frozen=True, slots=True)
class Recording:
    """A query whose result Prometheus keeps under a name, for dashboards and alerts."""

    record: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert, and what the person who gets it has to know."""

    name: str
    expression: str
    for_minutes: int
    severity: str
    """page: wake a person; ticket: look at it on the next working day."""
    owner: str
    """Who can act: an owner of mealkit's, or the label of the expression that says it."""
    summary: str
    meaning: str
    action: str
    """What to do, in Markdown."""


_FAILED = 'mealkit_requests_total{status=~"5.."}'
_BY_ROUTE = "sum by (job, instance, le, route)"

RECORDINGS = (
    Recording(
        "mealkit:requests:rate5m", "sum by (job, instance) (rate(mealkit_requests_total[5m]))"
    ),
    Recording(
        "mealkit:failed_requests:ratio_rate5m",
        f"(sum by (job, instance) (rate({_FAILED}[5m])) or 0 * mealkit:requests:rate5m)"
        " / (mealkit:requests:rate5m > 0)",
    ),
    Recording(
        "mealkit:request_seconds:p95_5m",
        f"histogram_quantile(0.95, {_BY_ROUTE} (rate(mealkit_request_seconds_bucket[5m])))",
    ),
    Recording(
        "mealkit:first_token_seconds:p95_5m",
        "histogram_quantile(0.95, sum by (job, instance, le)"
        " (rate(gen_ai_server_time_to_first_token_seconds_bucket[5m])))",
    ),
    Recording(
        "mealkit:queue_seconds:p95_5m",
        "histogram_quantile(0.95, sum by (job, instance, le)"
        " (rate(mealkit_queue_seconds_bucket[5m])))",
    ),
    Recording(
        "mealkit:budget_used:ratio",
        # Replicas that share a budget show the same one.
        "max by (job, budget, unit, key) (mealkit_budget_spent / mealkit_budget_limit)",
    ),
    Recording("mealkit:tokens:rate5m", "sum by (job, instance) (rate(mealkit_tokens_total[5m]))"),
)
"""The recording rules, in an order in which each uses only earlier ones."""

ALERTS = (
    Alert(
        name="MealkitDown",
        expression='up{job=~".*mealkit.*"} == 0',
        for_minutes=2,
        severity="page",
        owner=Owner.PLATFORM.value,
        summary="{{ $labels.instance }} does not answer Prometheus",
        meaning="No process listens at the address of the kit, or it refuses Prometheus.",
        action=(
            "Look at the target's error on Prometheus' page of targets. 401: give Prometheus a "
            "key. 403: start the kit with `MEALKIT_HOSTS=NAME`. Else see whether the container "
            "runs: `mealkit status`, `mealkit ps`."
        ),
    ),
    Alert(
        name="MealkitNotReady",
        expression='mealkit_state{state="ready"} == 0',
        for_minutes=10,
        severity="page",
        owner=Owner.PLATFORM.value,
        summary="{{ $labels.instance }} is not ready",
        meaning="The kit runs, and cannot answer: it still loads, or its engine does not start.",
        action=(
            "If it began with a new revision: `mealkit rollback NAME`. Else "
            "`curl http://HOST:PORT/v1/health/ready` states the reason, the problem's code, and "
            "who owns it. `mealkit explain CODE` says what to do."
        ),
    ),
    Alert(
        name="MealkitEngineRestarted",
        expression="increase(mealkit_worker_restarts_total[15m]) > 0",
        for_minutes=0,
        severity="ticket",
        owner=Owner.KIT_AUTHOR.value,
        summary="the engine of {{ $labels.instance }} died or hung, and was started again",
        meaning="Requests that ran at that moment failed; new ones are answered again.",
        action=(
            "Read the log from the line `worker ended` on: `mealkit logs NAME`. If it happens "
            "again: `mealkit rollback NAME`, and give the log to the kit's author."
        ),
    ),
    Alert(
        name="MealkitProblem",
        expression=(
            "sum by (job, instance, code, owner)"
            ' (increase(mealkit_failures_total{owner!="caller"}[15m])) > 0'
        ),
        for_minutes=0,
        severity="ticket",
        owner="{{ $labels.owner }}",
        summary="{{ $labels.code }} at {{ $labels.instance }}: {{ $labels.owner }} can solve it",
        meaning="A problem that is not a caller's has occurred.",
        action="`mealkit explain CODE` says what the code means, and the usual fix.",
    ),
    Alert(
        name="MealkitRequestsFail",
        expression="mealkit:failed_requests:ratio_rate5m > 0.05",
        for_minutes=5,
        severity="page",
        owner=Owner.PLATFORM.value,
        summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} fail",
        meaning="More than one request in twenty ends with a status of 5xx.",
        action=(
            "The alert MealkitProblem names the codes. If it began with a new revision: "
            "`mealkit history NAME`, then `mealkit rollback NAME`."
        ),
    ),
    Alert(
        name="MealkitBusy",
        expression='increase(mealkit_failures_total{code="REQUEST_BUSY"}[5m]) > 0',
        for_minutes=0,
        severity="ticket",
        owner=Owner.PLATFORM.value,
        summary="{{ $labels.instance }} refuses requests: its queue is full",
        meaning="More requests arrive than the kit answers; callers get 429 with Retry-After.",
        action=(
            "Add replicas; or let more wait: `serving.max_queue` in kit.yaml. The dashboard shows "
            "which key sends most; `mealkit usage` does, if the kit has prices or budgets. To "
            "limit a key: `mealkit key new --name KEY --rate 60/minute`."
        ),
    ),
    Alert(
        name="MealkitCanaryFailed",
        expression='increase(mealkit_canaries_total{result="failed"}[15m]) > 0',
        for_minutes=0,
        severity="ticket",
        owner=Owner.KIT_AUTHOR.value,
        summary="the engine of {{ $labels.instance }} did not answer a test request",
        meaning="The gateway asks an idle engine from time to time; this request failed.",
        action="The engine is started again by itself. Read the log: `mealkit logs NAME`.",
    ),
    Alert(
        name="MealkitCaseNotMet",
        expression="mealkit_case_met == 0",
        for_minutes=0,
        severity="ticket",
        owner=Owner.KIT_AUTHOR.value,
        summary="{{ $labels.instance }} does not meet its case {{ $labels.case }}",
        meaning="The answer to the kit's first case does not meet the kit's own expectation here.",
        action=(
            "Measure all claims on this machine: `mealkit test NAME`, or from another one "
            "`mealkit test http://HOST:PORT`. If the revision is new: `mealkit rollback NAME`."
        ),
    ),
    Alert(
        name="MealkitBudgetNearlySpent",
        expression="mealkit:budget_used:ratio >= 0.8 < 1",
        for_minutes=0,
        severity="ticket",
        owner=Owner.PLATFORM.value,
        summary=(
            "{{ $value | humanizePercentage }} of the budget {{ $labels.budget }} of"
            " {{ $labels.job }} is used"
        ),
        meaning=(
            "At least 80 % of a budget is spent or reserved in its period. Beyond the limit, "
            "requests get 429, or a warning if the budget is soft."
        ),
        action=(
            "`mealkit usage --by day,key` shows who uses it. Raise the budget in the deployment's "
            "`ops.cost`, or give keys budgets of their own: `mealkit key new --budget`."
        ),
    ),
    Alert(
        name="MealkitBudgetSpent",
        expression=(
            # A budget refuses what does not fit into its rest, so most never reach 1.
            "mealkit:budget_used:ratio >= 1 or sum by (job, instance)"
            ' (increase(mealkit_failures_total{code="BUDGET_EXCEEDED"}[15m])) > 0'
        ),
        for_minutes=0,
        severity="ticket",
        owner=Owner.PLATFORM.value,
        summary="a budget of {{ $labels.job }} is spent",
        meaning=(
            "Requests are refused with 429, `BUDGET_EXCEEDED`, until the period ends, or, if the "
            "budget is soft, are answered with a warning."
        ),
        action=(
            "`mealkit usage --by day,key` shows who has spent it. Raise the budget in the "
            "deployment's `ops.cost` and start it again: what is spent stays counted."
        ),
    ),
    Alert(
        name="MealkitAuditLinesLost",
        expression="increase(mealkit_audit_lost_total[15m]) > 0",
        for_minutes=0,
        severity="page",
        owner=Owner.PLATFORM.value,
        summary="lines are missing in the audit log of {{ $labels.instance }}",
        meaning="The audit log cannot be written, and the kit answers all the same.",
        action=(
            "Free space on the disk with the kit's records: `df -h`. The log itself then states "
            "how many lines are missing. To refuse requests instead, set `ops.audit.when_full: "
            "stop`."
        ),
    ),
    Alert(
        name="MealkitDataDrifted",
        expression="mealkit_data_drift > 0.25",
        for_minutes=30,
        severity="ticket",
        owner=Owner.KIT_AUTHOR.value,
        summary="what callers send to {{ $labels.instance }} differs from the kit's data",
        meaning=(
            "The population stability index of an input is above 0.25, which is usually called a "
            "large shift: the claims of the kit may not hold for these requests."
        ),
        action=(
            "Compare a sample of the requests with the kit's contract: `mealkit fit FILE KIT`. "
            "Then decide with the kit's author whether another kit is needed."
        ),
    ),
)
"""The alerts."""


def prometheus_rules(runbooks: str) -> dict[str, Any]:
    """Return the rules in the form of a Prometheus rules file.

    Args:
        runbooks: The address of the page that `runbooks_page` returns.
    """
    return {"groups": [{"name": _GROUP, "rules": [*_recordings(), *_alerts(runbooks)]}]}


def runbooks_page() -> str:
    """Return a page in Markdown with a section for each alert: what it means, and what to do."""
    return "\n".join(["# Runbooks", "", _ABOUT, *_sections()]) + "\n"


_ABOUT = """\
What each alert of a kit means, and what to do. `page` is for now, `ticket` for the next working
day.

An alert has the kit's address in `instance`. `mealkit status` and `mealkit ps` on that machine show
its NAME, and `mealkit history NAME` shows whether a new revision began shortly before.

| on one machine | on Kubernetes; on Swarm with `--target swarm` |
|---|---|
| `mealkit status NAME` | `mealkit deploy status NAME --target kubernetes` |
| `mealkit rollback NAME` | `mealkit deploy rollback NAME --target kubernetes` |
| `mealkit logs NAME` | `kubectl logs POD`; on Swarm `docker service logs NAME` |"""


def _recordings() -> Iterator[dict[str, Any]]:
    for item in RECORDINGS:
        yield {"record": item.record, "expr": item.expression}


def _alerts(runbooks: str) -> Iterator[dict[str, Any]]:
    for alert in ALERTS:
        yield {
            "alert": alert.name,
            "expr": alert.expression,
            "for": f"{alert.for_minutes}m",
            "labels": {"severity": alert.severity, "owner": alert.owner},
            "annotations": {
                "summary": alert.summary,
                "description": alert.meaning,
                "runbook_url": f"{runbooks}#{alert.name.lower()}",
            },
        }


def _sections() -> Iterator[str]:
    for alert in ALERTS:
        owner = "the owner that the alert names" if "$labels" in alert.owner else alert.owner
        yield from ("", f"## {alert.name}", "", f"{alert.severity}, for {owner}.", "")
        yield from (alert.meaning, "", alert.action, "", f"```promql\n{alert.expression}\n```")
