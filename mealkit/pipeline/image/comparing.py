"""Compares the recipes of kits, locks and images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.digest import Digest
from mealkit.lock.compare import (
    Change,
    compare,
    compare_locks,
    compare_models,
    without_restatements,
)
from mealkit.oci.choosing import image_at, manifests_below
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import OpenedKit, lock_at, open_kit
from mealkit.pipeline.opening_images import open_source
from mealkit.pipeline.targets import KitFolder, LockFile, recipe_named
from mealkit.progress import SILENT, Progress
from mealkit.recipe.answers import Effect
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import joined


@dataclass(frozen=True, slots=True)
class Digests:
    """The two digests of a lock."""

    salt: Digest
    recipe: Digest


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two recipes, and their digests."""

    changes: tuple[Change, ...]
    """The strongest effect first."""
    before: Digests | None
    """None: the kits were compared, because one of them has no lock."""
    after: Digests | None


def diff(
    before: str,
    after: str,
    home: Home,
    allowed: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> Difference:
    """Return the differences between two kits, locks or images.

    A kit is compared as it is now, not as its lock was written. What its lock must resolve again is
    compared as it was, and ``progress`` gets a warning. If two kits are compared and one has no
    lock, their kit files are compared. Kits may use their own folders and those in ``allowed``.

    Raises:
        LockError: one side is a kit without a lock, the other is none (``LOCK_MISSING``).
        MealkitError: one of them cannot be read.
    """
    sides = [_opened(text, home, allowed, progress) for text in dict.fromkeys((before, after))]
    kits = [side for side in sides if isinstance(side, OpenedKit)]
    if len(kits) == len(sides) and not all(kit.lock for kit in kits):
        return Difference(tuple(_between_kits(kits[0], kits[-1])), None, None)
    for kit in kits:
        if kit.lock is not None and not kit.is_resolved:
            progress.notice(kit.stale())
    locks = [_lock(side) for side in sides]
    changes = without_restatements(compare_locks(locks[0], locks[-1]))
    return Difference(tuple(changes), _digests(locks[0]), _digests(locks[-1]))


def _digests(lock: Lock) -> Digests:
    return Digests(lock.salt, lock.recipe)


def _opened(text: str, home: Home, allowed: Sequence[Path], progress: Progress) -> OpenedKit | Lock:
    match recipe_named(text):
        case KitFolder() as kit:
            return open_kit(kit, home, allowed, progress)
        case LockFile() as file:
            return lock_at(file)
        case image:
            with open_source(image, home, progress=progress) as (entries, source):
                found = manifests_below(entries, source)
                return joined([lock_of(image_at(item, source)) for item in found])


def _lock(side: OpenedKit | Lock) -> Lock:
    return side.lock_as_far_as_known() if isinstance(side, OpenedKit) else side


def _between_kits(before: OpenedKit, after: OpenedKit) -> Iterator[Change]:
    """Yield the differences between two kit files, and between the texts that they name."""
    yield from compare_models(before.parts.kit, after.parts.kit)
    for name, old, new in (
        ("prompts", before.parts.prompts, after.parts.prompts),
        ("code", before.parts.code, after.parts.code),
    ):
        for change in compare(_texts(old), _texts(new), name):
            yield Change(change.path, change.before, change.after, Effect.CHANGES)


def _texts(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"text": text} for name, text in texts.items()}
