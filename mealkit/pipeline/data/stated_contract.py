"""Finds the data contract of a target: a kit, with or without its lock, a lock or an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.errors import failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import ImageTarget, KitFolder, LockFile, recipe_named
from mealkit.progress import Progress
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile
from mealkit.recipe.lock import Lock

if TYPE_CHECKING:
    from mealkit.pipeline.kit.opened_kit import OpenedKit


@dataclass(frozen=True, slots=True)
class StatedContract:
    """A kit's contract, its profile, and the lock that pins its tokenizer."""

    kit: str
    """NAME:VERSION."""
    contract: DataContract
    lock: Lock | None
    """None for a kit without a valid lock."""
    reference: DataProfile | None
    """The profile of the data that the kit was made for."""
    place: "OpenedKit | ImageTarget | None"
    """The kit or the image; None if there is only the lock."""


def contract_of(
    target: str, home: Home, allowed: Sequence[Path], progress: Progress
) -> StatedContract:
    """Return the contract of a target; of a kit, the one in kit.yaml, which may have no lock.

    Raises:
        DataError: the kit has no data contract (``DATA_CONTRACT``).
        MealkitError: the target cannot be read, or states no recipe.
    """
    from mealkit.pipeline.kit.opened_kit import lock_at, open_kit

    match recipe_named(target):
        case KitFolder() as named:
            kit = open_kit(named, home, allowed, progress)
            whole = kit.parts.kit
            lock = kit.lock_as_written() if kit.lock and kit.is_resolved else None
            name = f"{whole.name}:{whole.version}"
            contract = _stated(whole.data, target)
            return StatedContract(name, contract, lock, kit.parts.profile, kit)
        case LockFile() as file:
            lock, place = lock_at(file), None
        case image:
            from mealkit.pipeline.image.image_lock import lock_of
            from mealkit.pipeline.opening_images import open_image

            place = image
            with open_image(image, home, progress=progress) as opened:
                lock = lock_of(opened)
    name = f"{lock.about.name}:{lock.about.version}"
    return StatedContract(name, _stated(lock.data, target), lock, lock.data_profile, place)


def _stated(contract: DataContract | None, target: str) -> DataContract:
    if contract is None:
        raise failure(
            "DATA_CONTRACT",
            f"{target} has no data contract",
            where=target,
            hint="write what the inputs must be like into kit.yaml, as data.inputs",
        )
    return contract
