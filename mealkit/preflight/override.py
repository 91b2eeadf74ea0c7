"""Overrides: a user starts a kit although a check blocks it, and states the reason.

Only blocking findings can be overridden. A reason is required; labels and the log contain it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mealkit.errors import failure
from mealkit.preflight.finding import Report, Severity
from mealkit.preflight.run import CHECKS

VARIABLE = "MEALKIT_OVERRIDES"
"""The container's environment variable for overrides: a JSON object of codes and reasons."""

LABEL = "dev.mealkit.override."
"""The prefix of the container's labels for overrides, before the code; the value is the reason."""

_REASON_CHARACTERS = 500


def overrides_of(codes: Sequence[str], reasons: Sequence[str]) -> Mapping[str, str]:
    """Return the reason for each code; one reason may be used for all.

    Raises:
        KitError: a code has no reason, a reason no code, or no check has the code (``USAGE``).
    """
    if not codes and not reasons:
        return {}
    if not codes or not reasons or len(reasons) not in {1, len(codes)}:
        raise failure(
            "USAGE",
            f"{len(codes)} overrides and {len(reasons)} reasons: each --override needs a --reason",
            hint='--override CODE --reason "why it works here anyway"',
        )
    several = reasons if len(reasons) == len(codes) else [*reasons] * len(codes)
    return {code: _checked(code, reason) for code, reason in zip(codes, several, strict=True)}


def read_overrides(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the overrides with which the container was started.

    Raises:
        ContainerError: the variable is not valid (``CONFIG_INVALID``).
    """
    text = environment.get(VARIABLE)
    if not text:
        return {}
    try:
        form = json.loads(text)
    except ValueError:
        form = None
    if not isinstance(form, dict) or not all(isinstance(item, str) for item in form.values()):
        raise failure(
            "CONFIG_INVALID",
            f"{VARIABLE} is not a JSON object of codes and reasons",
            where=VARIABLE,
            hint=f'write it as {VARIABLE}=\'{{"CODE": "reason"}}\'',
        )
    try:
        return overrides_of(tuple(form), tuple(form.values()))
    except Exception as error:
        raise failure("CONFIG_INVALID", f"{VARIABLE}: {error}", where=VARIABLE) from error


def variables(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that passes overrides to a container."""
    return {VARIABLE: json.dumps(dict(overrides), sort_keys=True)} if overrides else {}


def labels(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that record overrides."""
    return {f"{LABEL}{code}": reason for code, reason in overrides.items()}


def apply(report: Report, overrides: Mapping[str, str]) -> Report:
    """Return the report with the overridden blocking findings marked as such.

    Other findings do not change.
    """
    return Report(
        tuple(
            replace(finding, severity=Severity.OVERRIDDEN, reason=overrides[finding.code])
            if finding.severity is Severity.BLOCKS and finding.code in overrides
            else finding
            for finding in report.findings
        )
    )


def _checked(code: str, reason: str) -> str:
    known = {check.code for check in CHECKS}
    if code not in known:
        raise failure(
            "USAGE",
            f"the preflight has no check with the code {code!r}",
            hint=f"use one of {', '.join(sorted(known))}",
        )
    plain = " ".join(reason.split())
    if not plain or len(plain) > _REASON_CHARACTERS:
        raise failure(
            "USAGE",
            f"the reason for {code} has {len(plain)} characters, expected 1 to"
            f" {_REASON_CHARACTERS}",
        )
    return plain
