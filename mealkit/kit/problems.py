"""Turns pydantic's errors about a kit into problems: the field, its value, its line, and a hint.

Finds the place of each error and keeps one error for each place; ``wording`` writes the texts.
"""

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mealkit.errors import Problem
from mealkit.kit.document import Document, Path
from mealkit.kit.fields import field_at, homes_of, model_at, names_of
from mealkit.kit.wording import BAD_KEY, Fault, worded


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    data: Any,
    document: Document,
    prefix: Path = (),
) -> list[Problem]:
    """Return the problems of a model that was given ``data``; ``prefix`` is its path in the kit.

    One problem for each mistake: if a union rejects a value twice, only the more informative
    error is kept, and a misspelt field is not also reported as missing.
    """
    faults: dict[Path, Fault] = {}
    for item in error.errors(include_url=False):
        fault = _fault(item, model, data, document, prefix)
        known = faults.get(fault.path)
        if not fault.is_echo and (known is None or known.kind == "literal_error"):
            also = known.expected if known and known.kind != fault.kind else ""
            faults[fault.path] = fault.with_alternative(also)
    meant = {fault.meant for fault in faults.values() if fault.meant}
    return [
        worded(fault)
        for fault in faults.values()
        if fault.kind != "missing" or fault.path not in meant
    ]


def _fault(
    item: ErrorDetails, model: type[BaseModel], data: Any, document: Document, prefix: Path
) -> Fault:
    inner = _path_in(data, item["loc"], item["type"])
    kind = BAD_KEY if item["loc"][-1:] == ("[key]",) else item["type"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        inner = (*inner, item.get("ctx", {}).get("discriminator", "'source'").strip("'"))
    parent = model_at(model, data, inner[:-1])
    path = (*prefix, *inner)
    homes = homes_of(model, inner[-1]) if kind == "extra_forbidden" and inner else []
    spot = document.spot(path)
    return Fault(
        kind=kind,
        path=path,
        value=item["input"],
        raw=spot.raw,
        context=item.get("ctx", {}),
        text=item["msg"],
        field=field_at(model, data, inner),
        siblings=tuple(names_of(parent)) if parent else (),
        home=homes[0] if homes else None,
        where=document.where(path),
        whole=document.whole,
    )


def _path_in(data: Any, location: tuple[int | str, ...], kind: str) -> Path:
    """Remove what pydantic adds to a path and is not in the data: union tags, ``[key]``."""
    path: list[int | str] = []
    tag_dropped = False
    for index, step in enumerate(location):
        last = index == len(location) - 1
        is_tag = isinstance(data, dict) and data.get("source") == step
        if is_tag and not tag_dropped and not (last and kind == "extra_forbidden"):
            tag_dropped = True
        elif isinstance(data, dict) and step in data:
            data, tag_dropped = data[str(step)], False
            path.append(step)
        elif isinstance(data, list) and isinstance(step, int):
            data, tag_dropped = data[step], False
            path.append(step)
        elif last and kind == "missing":
            path.append(step)
    return tuple(path)
