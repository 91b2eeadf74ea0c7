"""Says what is wrong with an input of the paper's code: every field, in words for its caller.

Imports pydantic, so only the worker's ``load`` may import this module.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from mealkit.engines.python.faults import refusal_problem
from mealkit.engines.python.file_types import RefusedFile
from mealkit.errors import Problem, problem
from mealkit.worker.field_faults import FieldFault, field_faults, known_names, likely, meant_value

# Reporting one of them means building all of them: a large list may have one for each item.
_MOST_MISTAKES = 1000
_NAMED_INPUTS = 20


def input_problems(
    error: ValidationError, values: Mapping[str, Any], model: type[BaseModel]
) -> list[Problem]:
    """Return a problem for each field of an input that pydantic refuses."""
    if error.error_count() > _MOST_MISTAKES:
        message = f"input has {error.error_count()} mistakes"
        return [problem("REQUEST_INVALID", message, where="input")]
    found = error.errors(include_url=False, include_input=False)
    faults = field_faults(cast("list[Mapping[str, Any]]", found), values)
    return [_problem(fault, model) for fault in faults]


def _problem(fault: FieldFault, model: type[BaseModel]) -> Problem:
    where = f"input{'.' if fault.path else ''}{fault.path}"
    hint: str | None = None
    if isinstance(fault.cause, RefusedFile):
        return fault.cause.problem
    if fault.cause is not None:
        refusal = refusal_problem(fault.cause, where)
        return replace(refusal, message=f"{where}: {refusal.message}")
    match fault.kind:
        case "extra_forbidden":
            message, hint = f"{where} is not an input of this kit", _other_name(fault, model)
        case "missing":
            message = f"{where} is missing"
        case _:
            message = f"{where} {fault.reason}"
            hint = meant_value(fault)
    return problem("REQUEST_INVALID", message, where=where, hint=hint)


def _other_name(fault: FieldFault, model: type[BaseModel]) -> str:
    known = known_names(model, fault.place[:-1])
    near = likely(fault.name, known)
    if near:
        return f"did you mean {near!r}?"
    shown = ", ".join(known[:_NAMED_INPUTS]) + (", ..." if len(known) > _NAMED_INPUTS else "")
    return f"its inputs are {shown or 'none'}"
