"""Images and kits, looked at: listed, inspected, compared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, Problem, failure
from mealkit.kit.bounds import Bounds
from mealkit.lock.compare import Change, compare
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.listener import Listener
from mealkit.pipeline.targets import open_image
from mealkit.recipe.kit import kit_json
from mealkit.recipe.lock import LOCK_NAME, Lock
from mealkit.stores.local import LocalStore, StoredImage


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an image is: its layers, labels, config, and the lock it carries (None: no kit's)."""

    digest: str
    layers: tuple[dict[str, Any], ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    config: dict[str, Any]
    lock: Lock | None
    problems: tuple[Problem, ...] | None


def images(home: Home) -> list[StoredImage]:
    """List the images of the local store."""
    return LocalStore(home.store).images()


def inspect(target: str, *, verify: bool, home: Home, listener: Listener) -> Inspection:
    """Describe an image of the store, ``oci:DIR``, ``oci-archive:FILE`` or a registry.

    With ``verify`` every byte is read and held against its digest; what is wrong is returned.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    with open_image(target, home) as image:
        problems = _verified(image, listener) if verify else None
        return _inspection(image, problems)


def _verified(image: Image, listener: Listener) -> tuple[Problem, ...]:
    from mealkit.oci.validate import validate

    task = listener.task("verifying", sum(layer.blob.size_bytes for layer in image.layers))
    problems = tuple(validate(image, task.advance))
    task.done()
    return problems


def _inspection(image: Image, problems: tuple[Problem, ...] | None) -> Inspection:
    return Inspection(
        digest=str(image.digest),
        layers=tuple(
            {**layer.descriptor.as_json(), "diffId": layer.diff_id, "createdBy": layer.created_by}
            for layer in image.layers
        ),
        labels=image.labels,
        annotations=image.annotations,
        config=image.config,
        lock=_lock_or_none(image),
        problems=problems,
    )


def diff(before: str, after: str, home: Home, allowed: Sequence[Path] = ()) -> list[Change]:
    """Return what differs between two kits, locks or images, in the recipe's own words.

    Besides their own folders kits may use those in ``allowed``.

    Raises:
        MealkitError: one of them cannot be read.
    """
    sides = {text: _comparable(text, home, allowed) for text in (before, after)}
    locks = [lock for lock in sides.values() if lock is not None]
    if len(locks) == len(sides):
        forms = [_lock_json(lock) for lock in locks]
    elif all(_is_kit(text) for text in sides):
        forms = [_kit_form(text, allowed) for text in sides]
    else:
        unlocked = next(text for text, lock in sides.items() if lock is None)
        raise failure(
            "LOCK_MISSING",
            "a kit without a lock can only be compared with another kit",
            where=unlocked,
            hint=f"mealkit lock {unlocked}",
        )
    return list(compare(forms[0], forms[-1]))


def _comparable(text: str, home: Home, allowed: Sequence[Path]) -> Lock | None:
    """Return the lock of a kit, a lock file or an image; None for a kit without one."""
    from mealkit.pipeline.kit.parts import lock_file

    path = Path(text)
    if path.name.endswith(".lock") and path.is_file():
        return lock_file(path)
    if _is_kit(text):
        folder = path if path.is_dir() else path.parent
        return lock_file(folder / LOCK_NAME, Bounds.of(folder, allowed))
    with open_image(text, home) as image:
        return lock_of(image)


def _is_kit(text: str) -> bool:
    return Path(text).is_dir() or text.endswith((".yaml", ".yml"))


def _lock_json(lock: Lock) -> dict[str, Any]:
    form: dict[str, Any] = json.loads(lock.model_dump_json())
    return {**form, "recipe": str(lock.recipe)}


def _kit_form(text: str, allowed: Sequence[Path]) -> dict[str, Any]:
    from mealkit.kit.load import load_kit

    loaded = load_kit(Path(text), allowed=allowed)
    return {**kit_json(loaded.kit), "prompts": dict(loaded.prompts)}


def _lock_or_none(image: Image) -> Lock | None:
    try:
        return lock_of(image)
    except MealkitError:
        return None
