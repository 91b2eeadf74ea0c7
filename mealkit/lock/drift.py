"""What a kit says that its lock does not: pure, no network, no files."""

from collections.abc import Iterator

from mealkit.lock.compare import Change, compare
from mealkit.lock.resolve import KitParts, offline_lock, requests_of
from mealkit.recipe.lock import Lock


def drift(parts: KitParts, lock: Lock) -> list[Change]:
    """Return every difference between the kit and its lock; an empty list means it is fresh.

    Parts that only the outside can resolve again (weights, packages, base) are named as a whole.
    """
    return [*_values(parts, lock), *_asked(parts, lock)]


def needs_network(changes: list[Change]) -> bool:
    """Tell whether bringing the lock up to date means asking the outside."""
    return any(change.path.startswith("requests.") for change in changes)


def _values(parts: KitParts, lock: Lock) -> Iterator[Change]:
    wanted = offline_lock(parts, lock)
    yield from compare(lock.model_dump(mode="json"), wanted.model_dump(mode="json"))


def _asked(parts: KitParts, lock: Lock) -> Iterator[Change]:
    asked = requests_of(parts)
    for name in type(asked).model_fields:
        before, after = getattr(lock.requests, name), getattr(asked, name)
        if before != after:
            yield Change(f"requests.{name}", before, after)
