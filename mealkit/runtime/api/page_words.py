"""Puts a lock's claims, data contract, limits and licences into words, for the page. No I/O."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mealkit.acceptance.judging import shown_bounds, shown_value
from mealkit.recipe.claims import Claimed
from mealkit.recipe.data_contract import RULES, Action, InputContract, Rule
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations
from mealkit.runtime.api.about import limits
from mealkit.runtime.api.schema_words import plain
from mealkit.runtime.api.served_model import ServedModel
from mealkit.units import show_size


class ClaimRow(NamedTuple):
    """A claim: its value, the values with which it is met, and how to measure it."""

    name: str
    metric: str
    value: str
    paper_value: str
    allowed: str
    source: str
    url: str | None
    hardware: str
    description: str
    can_be_tested: bool


class RuleRow(NamedTuple):
    """A rule of the data contract."""

    input: str
    rule: str
    allowed: str
    action: str


class BudgetRow(NamedTuple):
    """A budget."""

    name: str
    shared_by: str
    period: str
    allowed: str
    is_soft: bool


def claim_rows(lock: Lock) -> list[ClaimRow]:
    """Return what the kit claims."""
    return [_claim(claim) for claim in lock.claims]


def rule_rows(lock: Lock) -> list[RuleRow]:
    """Return the rules for the kit's inputs that are not off."""
    inputs = lock.data.inputs if lock.data else {}
    return [row for name, rules in inputs.items() for row in _rules(name, rules)]


def budget_rows(ops: Operations | None) -> list[BudgetRow]:
    """Return what may be spent."""
    cost = ops.cost if ops else None
    rows = []
    for budget in cost.budgets if cost else ():
        parts = [
            *([f"{budget.money} {cost.currency}"] if cost and budget.money else []),
            *([f"{budget.tokens:,} tokens"] if budget.tokens else []),
        ]
        shared = "each key" if budget.per.value == "key" else "all callers"
        allowed = " and ".join(parts)
        rows.append(BudgetRow(budget.name, shared, budget.period.value, allowed, budget.soft))
    return rows


def limit_rows(lock: Lock, served: ServedModel) -> list[tuple[str, str]]:
    """Return the limits for requests, in words."""
    found = limits(lock, served)
    rows = [
        ("Input", found["max_tokens"], "tokens at most; longer inputs are refused, never cut"),
        ("Answer", found["max_answer_tokens"], "tokens at most"),
        ("Texts per request", found["max_inputs"], "at most"),
        ("Vectors", found["dimensions"], "numbers"),
        ("At a time", found["max_concurrency"], f"requests; {lock.serving.max_queue} more wait"),
        ("Time", found["timeout_seconds"], "seconds for an answer, with the time in the queue"),
    ]
    body = ("Body", f"{show_size(found['max_body_bytes'])} at most")
    files = found["max_file_bytes"]
    return [
        *((name, f"{value:,} {words}") for name, value, words in rows if value),
        body,
        *([("Files", f"{show_size(files)} at most, all of a request together")] if files else []),
    ]


def _claim(claim: Claimed) -> ClaimRow:
    paper = claim.value if claim.paper_value is None else claim.paper_value
    return ClaimRow(
        name=claim.name,
        metric=claim.metric.value,
        value=shown_value(claim.metric, claim.value),
        paper_value=shown_value(claim.metric, paper),
        allowed=shown_bounds(claim),
        source=claim.source,
        url=claim.url,
        hardware=claim.hardware or "any",
        description=claim.description or "",
        can_be_tested=claim.data is not None,
    )


def _rules(name: str, rules: InputContract) -> Iterator[RuleRow]:
    for field in RULES:
        rule = getattr(rules, field)
        if rule is not None and rule.action is not Action.OFF:
            yield RuleRow(name, field.removesuffix("_"), _allowed(rule), rule.action.value)


def _allowed(rule: Rule) -> str:
    stated: dict[str, Any] = rule.model_dump(mode="json", by_alias=True, exclude={"action"})
    return "; ".join(
        f"{name.replace('_', ' ')}: {_in_words(value)}"
        for name, value in stated.items()
        if value is not None
    )


def _in_words(value: Any) -> str:
    return ", ".join(map(plain, value)) if isinstance(value, list) else plain(value)
