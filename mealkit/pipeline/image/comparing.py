"""Compares the recipes of kits, locks and images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mealkit.lock.compare import Change, compare
from mealkit.oci.choosing import image_at, manifests_below
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import OpenedKit, lock_at, open_kit
from mealkit.pipeline.opening_images import open_source
from mealkit.pipeline.targets import KitFolder, LockFile, recipe_named
from mealkit.progress import SILENT, Progress
from mealkit.recipe.kit import kit_json
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import joined


def diff(
    before: str,
    after: str,
    home: Home,
    allowed: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> list[Change]:
    """Return the differences between two kits, locks or images.

    The current contents of a kit count; ``progress`` gets a warning if its lock is stale. If two
    kits are compared and one has no lock, or a lock that lacks required inputs, their kit files are
    compared instead of their locks. Kits may use their own folders and those in ``allowed``.

    Raises:
        LockError: one side is a kit, the other a lock or an image, and the kit has no lock, or a
            lock that lacks required inputs (``LOCK_MISSING``, ``LOCK_STALE``).
        MealkitError: one of them cannot be read.
    """
    sides = [_opened(text, home, allowed, progress) for text in dict.fromkeys((before, after))]
    kits = [side for side in sides if isinstance(side, OpenedKit)]
    for kit in kits:
        if kit.drift:
            progress.notice(kit.stale())
    if len(kits) == len(sides) and not all(kit.is_resolved for kit in kits):
        forms = [_kit_form(kit) for kit in kits]
    else:
        forms = [_lock_form(side) for side in sides]
    return list(compare(forms[0], forms[-1]))


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


def _lock_form(side: OpenedKit | Lock) -> dict[str, Any]:
    lock = side.lock_as_written() if isinstance(side, OpenedKit) else side
    form: dict[str, Any] = json.loads(lock.model_dump_json(by_alias=True))
    return {**form, "recipe": str(lock.recipe)}


def _kit_form(kit: OpenedKit) -> dict[str, Any]:
    return {**kit_json(kit.parts.kit), "prompts": dict(kit.parts.prompts)}
