"""Licences in the form of CycloneDX: as an SPDX expression, else by id or name."""

import re
from collections.abc import Sequence
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# One licence of SPDX's list; an expression, or the older "GPL-2.0+", is not in CycloneDX's list.
_ID = re.compile(r"(?!LicenseRef-)[A-Za-z0-9.-]+")


def licence_choice(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ``licenses`` of a component; several texts are licences of parts of it.

    The schema allows one expression, or any number of licences by id or name.
    """
    spdx = [_expression(text) for text in texts]
    known = [item for item in spdx if item is not None]
    if len(known) < len(spdx):
        named = dict.fromkeys(
            ("id" if _is_id(one) else "name", one or text)
            for one, text in zip(spdx, texts, strict=True)
        )
        return [{"license": {kind: name}} for kind, name in named]
    if len(known) > 1:
        known = [f"({item})" if " " in item else item for item in known]
    return [{"expression": " AND ".join(known)}] if known else []


def _expression(text: str) -> str | None:
    """Return an SPDX expression in its canonical spelling; None if the text is not one."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None


def _is_id(expression: str | None) -> bool:
    """Return whether a canonical expression is one licence of SPDX's list, and no LicenseRef."""
    return expression is not None and _ID.fullmatch(expression) is not None
