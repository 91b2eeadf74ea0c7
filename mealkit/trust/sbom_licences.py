"""Licences in the form of CycloneDX: as SPDX expressions if they are, by name otherwise."""

from collections.abc import Sequence
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression


def licence_choice(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ``licenses`` of a component; several texts are licences of parts of it.

    The schema allows one expression, or any number of named licences.
    """
    spdx = [_expression(text) for text in texts]
    known = [item for item in spdx if item is not None]
    if len(known) < len(spdx):
        named = dict.fromkeys(one or text for one, text in zip(spdx, texts, strict=True))
        return [{"license": {"name": name}} for name in named]
    if len(known) > 1:
        known = [f"({item})" if " " in item else item for item in known]
    return [{"expression": " AND ".join(known)}] if known else []


def _expression(text: str) -> str | None:
    """Return an SPDX expression in its canonical spelling; None if the text is not one."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None
