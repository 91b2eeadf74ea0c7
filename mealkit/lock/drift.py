"""Lists the differences between a kit and its lock. No I/O."""

import re
from collections.abc import Iterator

from mealkit.lock.compare import Change, compare, compare_locks
from mealkit.lock.kit_parts import KitParts
from mealkit.lock.resolve import offline_lock, requests_of
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import architectures_of, joined, plain_lock, plain_locks

_REQUEST = re.compile(r"(?:^|\.)requests\.|^variants\.\w+$|^model\.shape$")


def drift(parts: KitParts, lock: Lock) -> list[Change]:
    """Return every difference between the kit and its lock; an empty list means it is fresh.

    Parts that must be resolved from the network (weights, packages, base, or everything for an
    architecture that the lock lacks) are named as a whole.
    """
    return [*_values(parts, lock), *_local(parts, lock), *_asked(parts, lock)]


def needs_network(changes: list[Change]) -> bool:
    """Return whether updating the lock needs the sources of its inputs."""
    return any(asks_outside(change) for change in changes)


def asks_outside(change: Change) -> bool:
    """Return whether a change is in a part that must be resolved from its source."""
    return _REQUEST.search(change.path) is not None and change.after is not None


def _values(parts: KitParts, lock: Lock) -> Iterator[Change]:
    wanted = offline_lock(parts, lock)
    known = _from(wanted.runtime.architecture, lock)
    yield from compare_locks(known, wanted)


def _local(parts: KitParts, lock: Lock) -> Iterator[Change]:
    """Yield the local files that are missing, and what must be resolved again."""
    pinned = {file.path: file for item in lock.datasets.values() for file in item.files}
    for path in parts.current_datasets.missing:
        name = path.partition("/")[0]
        yield Change(f"datasets.{name}.files.{path}.sha256", pinned[path].sha256, None)
    for name in sorted(parts.current_datasets.refused):
        yield Change(f"requests.datasets.{name}", None, "to be resolved")
    if parts.current is None:
        return
    before = {file.path: file.sha256 for file in lock.model.files}
    for path in parts.current.missing:
        yield Change(f"model.files.{path}.sha256", before[path], None)
    if parts.current.shape is None:
        yield Change("model.shape", None, "to be read again")


def _from(architecture: str, lock: Lock) -> Lock:
    """Return a lock with this architecture first, so that the same architecture is compared."""
    if architecture not in lock.variants:
        return lock
    return joined(
        sorted(plain_locks(lock), key=lambda item: item.runtime.architecture != architecture)
    )


def _asked(parts: KitParts, lock: Lock) -> Iterator[Change]:
    first, *others = parts.variants()
    yield from _differences(first, plain_lock(lock, first.architecture), "")
    for own in others:
        path = f"variants.{own.architecture}"
        if own.architecture in architectures_of(lock):
            yield from _differences(own, plain_lock(lock, own.architecture), f"{path}.")
        else:
            yield Change(path, None, "to be resolved")


def _differences(parts: KitParts, lock: Lock, path: str) -> Iterator[Change]:
    known, asked = lock.requests, requests_of(parts)
    yield from compare(
        known.model_dump(mode="json"), asked.model_dump(mode="json"), f"{path}requests"
    )
