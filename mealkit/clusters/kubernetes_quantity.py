"""Reads the quantities of Kubernetes: 1.5, 500m, 64Gi, 1e9.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal

_FORM = re.compile(
    r"([+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?)([eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE]|)"
)
_SUFFIXES = {
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def quantity_of(stated: str | float | None) -> Decimal | None:
    """Return a quantity as a number; None if it is missing, or not one."""
    found = _FORM.fullmatch(str(stated)) if stated is not None else None
    if found is None:
        return None
    number, suffix = Decimal(found[1]), found[2]
    if suffix[:1] in {"e", "E"} and len(suffix) > 1 and suffix != "Ei":
        return number * Decimal(10) ** int(suffix[1:])
    return number * _SUFFIXES[suffix]
