"""Resolves Python packages with uv to wheels that are pinned by sha256.

Raises LockError for packages without a wheel, and for requirements that name an address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mealkit.errors import MealkitError, failure
from mealkit.kit.confidential import masked
from mealkit.kit.requirement_lines import fault_in
from mealkit.lock.kit_parts import PythonTarget
from mealkit.recipe.lock import LockedWheel
from mealkit.sources.local_wheels import (
    EMPTY_VERSION,
    LocalWheel,
    links_to,
    local_wheels,
    pins_of,
)
from mealkit.sources.refused_requirements import refusal, source_only
from mealkit.sources.uv_target import wheel_tags
from mealkit.sources.uv_tool import (
    OfferedWheel,
    Question,
    UvRefusedError,
    ask_dependents,
    ask_uv,
)
from mealkit.untrusted import shown


def resolve_packages(
    requirements: Sequence[str],
    target: PythonTarget,
    *,
    excludes: Sequence[str] = (),
    wheels: Sequence[Path] = (),
    places: Mapping[str, str] | None = None,
) -> tuple[LockedWheel, ...]:
    """Return the wheels that satisfy requirements on a target, sorted by name; no addresses.

    ``wheels`` are local wheel files, or folders of them. A package that has a local wheel is taken
    only from there. ``excludes`` are packages that are left out although others depend on them.
    ``places`` has the line of kit.yaml of each of the kit's own requirements, for problems.

    Raises:
        LockError: ``PACKAGES_SOURCE_ONLY`` or ``PACKAGES_UNSOLVABLE``.
        KitError: a local wheel is missing (``KIT_FILE_MISSING``).
        BuildError: a local wheel's name is not valid (``WHEEL_INVALID``).
        SourceError: ``SOURCE_UNREACHABLE``, ``SOURCE_DENIED`` or ``PACKAGES_TOOL``.
    """
    for text in requirements:
        _require_plain(text)
    local = local_wheels(wheels)
    with links_to(local) as links:
        question = Question(
            tuple(requirements),
            target,
            excludes=tuple(excludes),
            constraints=pins_of(local),
            links=links,
        )
        try:
            offered = ask_uv(question)
        except UvRefusedError as refused:
            raise refusal(refused, question, places or {}) from refused
        return _choose(offered, target, {wheel.path.name: wheel for wheel in local})


def dependents_of(
    names: Sequence[str],
    requirements: Sequence[str],
    packages: Sequence[LockedWheel],
    target: PythonTarget,
    *,
    excludes: Sequence[str] = (),
    wheels: Sequence[Path] = (),
) -> dict[str, tuple[str, ...]]:
    """Return which of the resolved ``packages`` depend on packages that were left out, by name.

    uv resolves again, to the same versions, and does not look up what those packages depend on.
    ``requirements``, ``excludes`` and ``wheels`` are those of ``resolve_packages``.

    Raises:
        SourceError: ``SOURCE_UNREACHABLE``, ``SOURCE_DENIED`` or ``PACKAGES_TOOL``.
    """
    local = local_wheels(wheels)
    question = Question(
        tuple(requirements),
        target,
        excludes=tuple(name for name in excludes if name not in names),
        constraints=tuple(f"{wheel.name}=={wheel.version}" for wheel in packages),
        leaves=names,
    )
    try:
        with links_to(local) as links:
            found = ask_dependents(replace(question, links=links))
    except (UvRefusedError, MealkitError):
        # The index may have no wheel of such a package, or deny it. With an empty one instead, uv
        # also counts what is required only on other systems, because it ignores their markers.
        with links_to(local, names) as links:
            found = _dependents_of_empty(names, replace(question, leaves=(), links=links))
    locked = {wheel.name for wheel in packages}
    return {name: tuple(who for who in found.get(name, ()) if who in locked) for name in names}


def _dependents_of_empty(names: Sequence[str], question: Question) -> dict[str, tuple[str, ...]]:
    overrides = tuple(f"{name}=={EMPTY_VERSION}" for name in names)
    try:
        return ask_dependents(replace(question, overrides=overrides))
    except UvRefusedError as refused:
        raise failure("PACKAGES_TOOL", f"uv fails: {refused.reason}") from refused


def find_wheel(name: str, version: str, target: PythonTarget) -> OfferedWheel:
    """Return the address of a package's wheel for a target, with the digest that the index states.

    Raises:
        SourceError: ``SOURCE_NOT_FOUND``, ``SOURCE_UNREACHABLE``, ``SOURCE_DENIED`` or
            ``PACKAGES_TOOL``.
    """
    question = Question((f"{name}=={version}",), target, with_dependencies=False)
    try:
        found = _best(ask_uv(question), wheel_tags(target))
    except UvRefusedError as refused:
        raise failure(
            "SOURCE_NOT_FOUND",
            f"the package index has no wheel of {name}=={version}: {refused.reason}",
        ) from refused
    if found is None:
        raise failure("SOURCE_NOT_FOUND", f"the package index has no wheel of {name}=={version}")
    return found


def _require_plain(text: str) -> None:
    if fault := fault_in(text):
        message = f"{shown(masked(text))} cannot be required: {fault.why}"
        raise failure("PACKAGES_UNSOLVABLE", message, hint=fault.instead)


def _choose(
    offered: Sequence[OfferedWheel], target: PythonTarget, local: dict[str, LocalWheel]
) -> tuple[LockedWheel, ...]:
    tags = wheel_tags(target)
    by_name: dict[str, list[OfferedWheel]] = {}
    for wheel in offered:
        by_name.setdefault(wheel.name, []).append(wheel)
    chosen = []
    for name, wheels in sorted(by_name.items()):
        best = _best([wheel for wheel in wheels if wheel.filename in local] or wheels, tags)
        own = local.get(best.filename) if best else None
        if best is None:
            raise source_only([name], target, [])
        digest = own.digest if own else best.digest
        if digest is None:
            raise failure("PACKAGES_TOOL", f"the index states no sha256 for {best.filename}")
        chosen.append(
            LockedWheel(
                name=canonicalize_name(name),
                version=best.version,
                filename=best.filename,
                sha256=digest,
                size_bytes=own.path.stat().st_size if own else best.size_bytes,
                local=own is not None,
            )
        )
    return tuple(chosen)


def _best(wheels: Sequence[OfferedWheel], tags: Sequence[Tag]) -> OfferedWheel | None:
    """Return the wheel whose tag is first among the target's."""
    rank = {tag: place for place, tag in enumerate(tags)}
    ranked = []
    for wheel in wheels:
        try:
            _, _, build, own = parse_wheel_filename(wheel.filename)
        except InvalidWheelFilename:
            continue
        places = [rank[tag] for tag in own if tag in rank]
        if places:
            ranked.append((min(places), [-number for number in build[:1]], wheel.filename, wheel))
    return min(ranked, key=lambda item: item[:3])[3] if ranked else None
