"""Names what was built: a version in the local store keeps its bytes, unless the user says so."""

from collections.abc import Sequence
from enum import Enum, auto
from itertools import islice

from mealkit.errors import MealkitError, failure
from mealkit.lock.compare import compare_locks, without_restatements
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex
from mealkit.oci.reference import Reference
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import plain_locks
from mealkit.stores.local import LocalStore

_MOST_SHOWN = 5


class Taken(Enum):
    """What to do if the kit's name and version already belong to an image with other bytes."""

    REFUSED = auto()
    """Fail: a version has the same bytes everywhere."""
    REPLACED = auto()
    """Let the new image have the name."""
    KEPT = auto()
    """Let the other image keep the name; the new one has none."""


def require_same_lock(store: LocalStore, name: str, lock: Lock) -> None:
    """Refuse a build whose result cannot be the image that has the name, before the work starts.

    Raises:
        StoreError: ``VERSION_EXISTS``.
    """
    if not Reference.parse(name).is_version:
        return
    found = store.index().named(name)
    if found is None:
        return
    try:
        content = store.content(str(found.digest))
        images = content.images if isinstance(content, ImageIndex) else (content,)
        before = tuple(lock_of(image) for image in images)
    except MealkitError:  # it is damaged, or not a kit: building shows what it is
        return
    if before != plain_locks(lock):
        differs = _differences(before, plain_locks(lock))
        message = f"{name} is already the name of {found.digest}, whose kit.lock differs: {differs}"
        raise failure("VERSION_EXISTS", message, where=name)


def _differences(before: Sequence[Lock], now: Sequence[Lock]) -> str:
    """Return the names of the first differing fields."""
    if len(before) != len(now):
        return "hardware.architectures"
    changes = (
        change.path
        for old, new in zip(before, now, strict=True)
        for change in without_restatements(compare_locks(old, new))
    )
    first = list(islice(dict.fromkeys(changes), _MOST_SHOWN + 1))
    more = ", ..." if len(first) > _MOST_SHOWN else ""
    return f"{', '.join(first[:_MOST_SHOWN])}{more}"


def keep_under(
    content: Image | ImageIndex, name: str, store: LocalStore, taken: Taken, progress: Progress
) -> None:
    """Store what was built under its name. Call it within ``use``.

    Raises:
        StoreError: ``VERSION_EXISTS``.
    """
    before = store.index().named(name)
    other = before.digest if before and before.digest != content.digest else None
    moves = taken is Taken.REPLACED or not Reference.parse(name).is_version
    if other and taken is Taken.KEPT and not moves:
        store.put(content, [])
        progress.phase(
            f"note: {name} stays the name of {other}; this image is {content.digest}."
            " To give it the name: mealkit build --replace"
        )
        return
    store.put(content, [name], replaces=moves)
    if other:
        progress.phase(f"note: {name} now names the new image; {other} stays without a name")
