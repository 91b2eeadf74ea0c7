"""The data sets of a lock: resolved anew, or kept with local files as they are now.

No I/O except through ``DatasetInputs``. Each data set is kept or resolved by itself, so that an
edit of one does not move the branch of another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mealkit.digest import Digest, canonical_json
from mealkit.lock.resolved_weights import lockable
from mealkit.recipe.claims import LockedDataset
from mealkit.recipe.kit import Kit, kit_json
from mealkit.recipe.lock import Lock


@dataclass(frozen=True, slots=True)
class CurrentDatasets:
    """The data sets of a lock whose files in folders are others now."""

    changed: Mapping[str, LockedDataset] = field(default_factory=dict)
    """Those that differ, as they are now; a missing file is still as it is locked."""
    missing: tuple[str, ...] = ()
    """The paths of locked files that are no longer in their folder."""
    refused: frozenset[str] = frozenset()
    """Those that must be resolved again: a file does not have the digest that the kit asserts."""

    @property
    def unresolved(self) -> frozenset[str]:
        """The names of the data sets that the lock cannot keep."""
        return self.refused | {path.partition("/")[0] for path in self.missing}


class DatasetInputs(Protocol):
    """Resolves data sets to digests."""

    def datasets(self, kit: Kit) -> Mapping[str, LockedDataset]:
        """Resolve every file of a kit's data sets."""
        ...


def dataset_requests(kit: Kit) -> dict[str, Digest]:
    """Return the digest of each data set's entry in kit.yaml."""
    return {
        name: Digest.of(canonical_json(kit_json(entry))) for name, entry in kit.datasets.items()
    }


def locked_datasets(
    kit: Kit,
    current: CurrentDatasets,
    inputs: DatasetInputs,
    previous: Lock | None,
    *,
    upgrade: bool,
) -> dict[str, LockedDataset]:
    """Return the kit's data sets; those that the previous lock has are kept without a question."""
    kept = {} if upgrade or previous is None else _kept(kit, current, previous)
    wanted = {name: entry for name, entry in kit.datasets.items() if name not in kept}
    if wanted:
        with lockable("a data set"):
            kept |= inputs.datasets(kit.model_copy(update={"datasets": wanted}))
    return {name: kept[name] for name in kit.datasets}


def offline_datasets(
    kit: Kit, current: CurrentDatasets, previous: Lock
) -> dict[str, LockedDataset]:
    """Return the data sets that the kit still has, without resolving any."""
    known = {**previous.datasets, **current.changed}
    return {name: known[name] for name in kit.datasets if name in known}


def _kept(kit: Kit, current: CurrentDatasets, previous: Lock) -> dict[str, LockedDataset]:
    asked = dataset_requests(kit)
    return {
        name: found
        for name, found in offline_datasets(kit, current, previous).items()
        if previous.requests.datasets.get(name) == asked[name] and name not in current.unresolved
    }
