"""Asks a kit its cases, and compares the answers with what the kit states.

Needs none of the metrics' libraries, because every image has its cases. Regular expressions are
those of Rust, which take linear time; a JSON Schema is checked by jsonschema-rs.
"""

import base64
import json
import math
import mimetypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.json_values import at_pointer, same_json
from mealkit.acceptance.packages import needed
from mealkit.acceptance.questions import (
    AnswerError,
    Question,
    cosine,
    generated,
    label,
    output,
    ranking,
    vectors,
)
from mealkit.acceptance.report import MAX_SAMPLES, CaseFault, CaseResult, Verdict
from mealkit.errors import Owner
from mealkit.recipe.cases import Case, Expectation
from mealkit.recipe.lock import Lock
from mealkit.recipe.task_endpoints import case_endpoint
from mealkit.untrusted import UntrustedError, read_file

_MAX_FILE_BYTES = 64 * 1024 * 1024
_SHOWN_CHARACTERS = 1000


def case_question(case: Case, lock: Lock, files: Path | None) -> Question:
    """Return the request of a case; ``files`` is the folder with the files that it names.

    Raises:
        LookupError: a file is not there; the message is the reason.
    """
    path = case_endpoint(case, lock)
    body: dict[str, Any] = {"model": lock.model.name, **case.request}
    if case.files:
        given = body.get("input")
        body["input"] = {**(given if isinstance(given, dict) else {}), **_files(case, files)}
    return Question(path, body, _reader(path, body))


def case_result(case: Case, reply: Reply) -> CaseResult:
    """Return what a reply says about a case."""
    if reply.problem is not None:
        return CaseResult(
            name=case.name,
            verdict=Verdict.FAILS,
            reason=f"the kit answers with {reply.problem}: {reply.message}"[:_SHOWN_CHARACTERS],
            owner=reply.owner,
            seconds=reply.seconds,
        )
    faults = [fault for item in case.expect if (fault := _fault(item, reply.value)) is not None]
    verdict = Verdict.FAILS if faults else Verdict.HOLDS
    reason = "the answer is as stated" if case.expect else "the kit answers"
    if faults:
        verb = "is" if len(faults) == 1 else "are"
        reason = f"{len(faults)} of {len(case.expect)} statements about the answer {verb} not true"
    return CaseResult(
        name=case.name,
        verdict=verdict,
        reason=reason,
        owner=Owner.KIT_AUTHOR if faults else None,
        seconds=reply.seconds,
        faults=tuple(faults[:MAX_SAMPLES]),
    )


def unmet(expected: Expectation, value: Any) -> str | None:
    """Return what is expected of a value, if the value is not so; None if it is."""
    match expected:
        case Expectation(contains=str(part)):
            is_met = part in value if isinstance(value, str | list) else False
            return None if is_met else f"contains {part!r}"
        case Expectation(matches=str(pattern)):
            return None if _matches(pattern, value) else f"matches {pattern!r}"
        case Expectation(schema_=dict(schema)):
            fault = _schema_fault(schema, value)
            return None if fault is None else f"a value that the schema accepts: {fault}"
        case Expectation(close=close, within=float(within)) if close is not None:
            return None if _is_close(close, value, within) else f"{close} within {within:g}"
        case Expectation(cosine=tuple(other), at_least=float(least)):
            return _cosine_fault(other, value, least)
        case _:
            return (
                None
                if same_json(value, expected.equals)
                else json.dumps(expected.equals, ensure_ascii=False)
            )


def _fault(expected: Expectation, whole: Any) -> CaseFault | None:
    try:
        value = at_pointer(whole, expected.at)
    except LookupError:
        return CaseFault(at=expected.at, expected="a value", answered="there is none")
    wanted = unmet(expected, value)
    if wanted is None:
        return None
    return CaseFault(at=expected.at, expected=_cut(wanted), answered=_cut(json.dumps(value)))


def _matches(pattern: str, value: Any) -> bool:
    try:
        SchemaValidator(
            core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True)
        ).validate_python(value)
    except (ValidationError, SchemaError):
        return False
    return True


def _schema_fault(schema: Mapping[str, Any], value: Any) -> str | None:
    rules = needed("jsonschema_rs")
    try:
        # Patterns take linear time, and nothing is fetched: a lock may be a stranger's.
        validator = rules.Draft202012Validator(
            dict(schema), retriever=_refuse, pattern_options=rules.RegexOptions()
        )
        error = next(validator.iter_errors(value), None)
    except (ValueError, rules.ReferencingError) as fault:
        return f"the schema is not valid: {str(fault).partition(chr(10))[0][:_SHOWN_CHARACTERS]}"
    return None if error is None else str(error.message)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"it refers to another document: {json.dumps(uri)}")


def _is_close(expected: float | tuple[float, ...], value: Any, within: float) -> bool:
    wanted = expected if isinstance(expected, tuple) else (expected,)
    given = value if isinstance(value, list) else [value]
    return len(wanted) == len(given) and all(
        _is_within(one, other, within) for one, other in zip(wanted, given, strict=True)
    )


def _is_within(one: float, other: Any, within: float) -> bool:
    if isinstance(other, bool) or not isinstance(other, int | float):
        return False
    try:
        far = abs(one - other)
    except OverflowError:  # an integer that is larger than any float
        return False
    return far <= within or math.isclose(far, within)


def _cosine_fault(expected: tuple[float, ...], value: Any, least: float) -> str | None:
    wanted = f"a vector whose cosine is at least {least:g}"
    given = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    if not isinstance(given, list) or not all(isinstance(item, int | float) for item in given):
        return wanted
    try:
        found = cosine(expected, given)
    except AnswerError as error:
        return f"{wanted}: {error}"
    # The cosine of a vector with itself may be less than 1 by rounding.
    return None if found >= least or math.isclose(found, least) else f"{wanted}; it is {found:.6f}"


def _reader(path: str, body: Mapping[str, Any]) -> Callable[[Any], Any]:
    def read_vectors(answer: Any) -> Any:
        found = vectors(answer)
        return found if isinstance(body.get("input"), list) else found[0]

    def read_label(answer: Any) -> Any:
        return label(answer)

    known: dict[str, Callable[[Any], Any]] = {
        "/v1/embeddings": read_vectors,
        "/v1/classify": read_label,
        "/v1/rerank": ranking,
        "/v2/rerank": ranking,
        "/v1/chat/completions": generated,
        "/v1/completions": generated,
        "/v1/predict": output,
    }
    return known.get(path, lambda answer: answer)


def _files(case: Case, folder: Path | None) -> dict[str, str]:
    found = {}
    for name, path in case.files.items():
        if folder is None:
            raise LookupError(f"the file {path} of the kit is not here")
        try:
            data = read_file(folder / path, _MAX_FILE_BYTES)
        except (OSError, UntrustedError) as error:
            raise LookupError(f"the file {path} of the kit cannot be read: {error}") from error
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        found[name] = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
