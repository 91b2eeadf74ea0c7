"""A violation of a data contract: which value breaks which rule, and what the rule requires.

A violation quotes at most the beginning of a value. It is for the caller, whose value it is: logs
and metrics get only its ``name`` and ``rule``.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from mealkit.errors import Problem, problem
from mealkit.recipe.data_contract import Action
from mealkit.untrusted import shown

MAX_VIOLATIONS = 100
"""The most violations that one check returns; a request may have thousands."""

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """One value that breaks one rule."""

    field: str
    """Where the value is: ``documents[2].text``."""
    name: str
    """The input of the contract: ``documents``. There are few of them, so metrics can have it."""
    rule: str
    """The rule, with its part if it has several: ``length.maximum_tokens``."""
    action: Action
    """What the violation causes; never off."""
    value: str
    """The value, quoted and truncated."""
    measured: str
    """What was measured: ``5120 characters``."""
    required: str
    """What the rule requires: ``at most 4096 characters``."""
    code: str
    """The code in the catalogue of problems."""

    @property
    def message(self) -> str:
        """The violation in one sentence."""
        return f"{self.field} has {self.measured}, expected {self.required}"

    def problem(self) -> Problem:
        """Return the violation as a problem, whose owner is the caller."""
        return problem(
            self.code,
            f"{self.message}; the value is {self.value}",
            where=self.field,
            measured=self.measured,
            required=self.required,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the violation as JSON, for answers and reports."""
        return {
            "field": self.field,
            "rule": self.rule,
            "action": self.action.value,
            "value": self.value,
            "measured": self.measured,
            "required": self.required,
            "code": self.code,
            "owner": "caller",
        }


def quoted(value: JsonValue) -> str:
    """Quote a value for a message: on one line, and truncated."""
    if isinstance(value, str):
        return shown(value, _SHOWN_CHARACTERS)
    if isinstance(value, list | dict):
        kind, count = ("a list", "items") if isinstance(value, list) else ("an object", "members")
        return f"{kind} of {len(value)} {count}"
    return json.dumps(value)[:_SHOWN_CHARACTERS]
