"""Which pinned values of a kit can be changed one at a time, and the kit's lock with one changed.

No I/O: values in, values out. What a value is changed to is stated by its engine
(``engines.other_values``); prompts are shortened here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from mealkit.acceptance.salt_report import ChangedValue, LeftValue
from mealkit.digest import Digest
from mealkit.engines.other_values import Other, Pinned, salted
from mealkit.errors import failure
from mealkit.lock.kit_parts import KitParts
from mealkit.lock.resolve import offline_lock
from mealkit.recipe.claims import AskEmbedding, AskRetrieval, AskSimilarity, Claimed
from mealkit.recipe.lock import Lock, LockedWheel
from mealkit.recipe.variant import plain_lock

MAX_CHANGES = 200
"""The most changes of one run."""
HYPERPARAMETERS = "hyperparameters"
SETTINGS = "runtime.settings"
PROMPTS = "prompts"

_MARK = "-salt"
_VERSION_CHARACTERS = 128
_SHOWN_CHARACTERS = 300
_SYSTEM_PROMPT = LeftValue(
    field="system_prompt", reason="its text is changed as one of the prompts"
)
_OUTSIDE = (
    LeftValue(field="model.weights", reason="other files are another model"),
    LeftValue(field="runtime.code", reason="other code is another method"),
    LeftValue(field="runtime.base", reason="only by another kit"),
    LeftValue(field="runtime.requirements", reason="by request: --change package=NAME==VERSION"),
)


@dataclass(frozen=True, slots=True)
class Pinch:
    """One changed value: what a report says about it, and the values that it puts into the kit."""

    change: ChangedValue
    hyperparameters: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[LockedWheel, ...] | None = None
    """All packages of the engine, if one of them has another version."""
    request: Mapping[str, JsonValue] = field(default_factory=dict)
    """Fields of every request without which the change has no effect."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be changed, and what cannot, with the reasons."""

    pinches: tuple[Pinch, ...]
    left: tuple[LeftValue, ...]


def pinches_of(parts: KitParts, lock: Lock) -> Choice:
    """Return every change of one value that the kit's engine knows, in the order of kit.yaml."""
    pinches: list[Pinch] = []
    left: list[LeftValue] = []
    for found in (*_prompts(parts), *_values(parts, lock)):
        if isinstance(found, Pinch):
            pinches.append(found)
        else:
            left.append(found)
    pinned = (_SYSTEM_PROMPT,) if parts.kit.system_prompt else ()
    return Choice(tuple(pinches), (*left, *pinned, *_OUTSIDE))


def chosen(parts: KitParts, lock: Lock, field_name: str, value: JsonValue) -> Pinch:
    """Return the change of one value to another that the caller names.

    Raises:
        KitError: ``USAGE``, the kit has no such value, or its engine does not accept the other.
    """
    place, _, name = field_name.rpartition(".")
    if place == PROMPTS and name in parts.prompts and isinstance(value, str):
        return _prompt(name, parts.prompts[name], value)
    typed = _typed(parts).get(place)
    if typed is None or name not in typed.values:
        known = [pinch.change.field for pinch in pinches_of(parts, lock).pinches]
        hint = f"name one of {', '.join(dict.fromkeys(known))}"
        message = f"the kit has no value {field_name!r} that can be changed"
        raise failure("USAGE", message, where=field_name, hint=hint)
    found = _checked(typed, place, name, Other(value))
    if isinstance(found, LeftValue):
        raise failure("USAGE", f"{field_name}: {found.reason}", where=field_name)
    return found


def changed_lock(parts: KitParts, lock: Lock, architecture: str, pinch: Pinch) -> Lock:
    """Return the kit's plain lock for an architecture, with one changed value, and `apart`."""
    changed = replace(
        parts,
        hyperparameters={**parts.hyperparameters, **pinch.hyperparameters},
        settings={**parts.settings, **pinch.settings},
        prompts={**parts.prompts, **pinch.prompts},
    )
    found = plain_lock(offline_lock(changed, lock), architecture)
    update: dict[str, Any] = {}
    if pinch.packages is not None:
        update["engine"] = found.engine.model_copy(update={"packages": pinch.packages})
    if pinch.request:
        update["claims"] = tuple(_asking(claim, pinch.request) for claim in found.claims)
    return apart(found.model_copy(update=update))


def apart(lock: Lock) -> Lock:
    """Return a lock with the ending ``-salt`` in its version: it takes no name from the kit."""
    version = lock.about.version[: _VERSION_CHARACTERS - len(_MARK)] + _MARK
    return lock.model_copy(update={"about": lock.about.model_copy(update={"version": version})})


def _asking(claim: Claimed, request: Mapping[str, JsonValue]) -> Claimed:
    """Return a claim whose questions have further fields; only those for vectors accept them."""
    ask = claim.ask
    if not isinstance(ask, AskEmbedding | AskSimilarity | AskRetrieval):
        return claim
    parameters = {**ask.parameters, **request}
    return claim.model_copy(update={"ask": ask.model_copy(update={"parameters": parameters})})


def _values(parts: KitParts, lock: Lock) -> Iterator[Pinch | LeftValue]:
    files = [file.path for file in lock.model.files]
    everything = {**parts.settings, **parts.hyperparameters}
    for place, typed in _typed(parts).items():
        for name, info in typed.model.model_fields.items():
            pinned = Pinned(typed.values[name], info.annotation, everything, files)
            others = salted(info, pinned)
            if isinstance(others, str):
                yield LeftValue(field=f"{place}.{name}", reason=others)
                continue
            for other in others:
                yield _checked(typed, place, name, other)


@dataclass(frozen=True, slots=True)
class _Typed:
    """Values of a kit, and the engine's model of them."""

    model: type[BaseModel]
    values: Mapping[str, JsonValue]


def _typed(parts: KitParts) -> Mapping[str, _Typed]:
    recipe = parts.recipe
    return {
        HYPERPARAMETERS: _Typed(recipe.hyperparameters[parts.task], parts.hyperparameters),
        SETTINGS: _Typed(recipe.settings, parts.settings),
    }


def _checked(typed: _Typed, place: str, name: str, other: Other) -> Pinch | LeftValue:
    """Return the change, or the reason why the engine does not accept it."""
    changes = {name: other.value, **other.together}
    where = f"{place}.{name}"
    try:
        model = typed.model.model_validate_json(json.dumps({**typed.values, **changes}))
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False)[0]["msg"]
        shown = json.dumps(other.value, ensure_ascii=False)
        return LeftValue(field=where, reason=f"{shown} alone is not valid: {message}")
    full = model.model_dump(mode="json", by_alias=True)
    kept = {item: full[item] for item in changes}
    change = ChangedValue(
        field=where,
        pinned=typed.values[name],
        changed=kept[name],
        together={f"{place}.{item}": kept[item] for item in other.together},
        spoils=other.spoils,
    )
    if place == SETTINGS:
        return Pinch(change, settings=kept, request=other.request)
    return Pinch(change, hyperparameters=kept, request=other.request)


def _prompts(parts: KitParts) -> Iterator[Pinch]:
    for name, text in parts.prompts.items():
        variables = parts.kit.prompts[name].variables
        bare = "\n".join(f"{{{{ {variable} }}}}" for variable in variables)
        lines = text.strip().splitlines()
        first = lines[0] if lines else ""
        if bare != text.strip():
            yield _prompt(name, text, bare)
        if first not in {bare, text.strip()}:
            yield _prompt(name, text, first)


def _prompt(name: str, text: str, other: str) -> Pinch:
    change = ChangedValue(
        field=f"{PROMPTS}.{name}", pinned=_shortened(text), changed=_shortened(other)
    )
    return Pinch(change, prompts={name: other})


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    digest = Digest.of(text.encode()).short
    return f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters, {digest})"
