"""The weights of a lock: resolved anew, or kept with local files as they are now.

No I/O except through ``Inputs``. Raises SourceError for a value that a lock cannot contain.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from mealkit.errors import MealkitError, failure
from mealkit.recipe.kit import Kit, Model
from mealkit.recipe.lock import LockedModel, ModelShape, first_fault
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.publisher_signature import LockedSignature


@dataclass(frozen=True, slots=True)
class Weights:
    """The files of a model, what their headers say, and whose signatures were verified."""

    files: tuple[LockedFile, ...]
    shape: ModelShape
    signatures: tuple[LockedSignature, ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentWeights:
    """The model's files of a lock, with those of folder sources as they are now."""

    files: tuple[LockedFile, ...]
    """Sorted by path; a missing file is still as it is locked."""
    shape: ModelShape | None
    """None: the weights must be resolved again, because headers that are not on this machine are
    needed for the shape, or a file does not have the digest that the kit asserts."""
    missing: tuple[str, ...]
    """The paths of locked files that are no longer in their folder."""
    model: Model
    """The kit's model with every other source pinned to what is locked."""


class WeightInputs(Protocol):
    """Resolves weights to digests, and verifies who signed them."""

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        """Resolve every file of the model."""
        ...

    def signatures(self, kit: Kit, files: Sequence[LockedFile]) -> tuple[LockedSignature, ...]:
        """Verify the publishers' signatures that the kit demands of these files."""
        ...


def new_weights(kit: Kit, inputs: WeightInputs) -> Weights:
    """Resolve the weights from their sources."""
    with lockable("the weights"):
        files, found = inputs.weights(kit)
    return Weights(files, plausible(found), _signatures(kit, inputs, files))


def kept_weights(
    kit: Kit, current: CurrentWeights | None, inputs: WeightInputs, model: LockedModel
) -> Weights:
    """Return the locked weights, with local files as they are now."""
    if current is None:
        return Weights(model.files, model.shape, model.signatures)
    if current.shape is not None and not current.missing:
        signatures = _signatures(kit, inputs, current.files)
        return Weights(current.files, plausible(current.shape), signatures)
    return new_weights(kit.model_copy(update={"model": current.model}), inputs)


def _signatures(
    kit: Kit, inputs: WeightInputs, files: tuple[LockedFile, ...]
) -> tuple[LockedSignature, ...]:
    if all(entry.signed_by is None for entry in kit.model.weights):
        return ()
    return inputs.signatures(kit, files)


def plausible(shape: ModelShape) -> ModelShape:
    """Return the shape that a model's headers state, or an empty one if it is not valid."""
    try:
        return ModelShape.model_validate_json(shape.model_dump_json())
    except (ValidationError, MealkitError):
        return ModelShape()


@contextmanager
def lockable(what: str) -> Iterator[None]:
    """Turn an invalid value into a problem that names its source."""
    try:
        yield
    except ValidationError as error:
        message = f"{what} cannot be written to a lock: {first_fault(error)}"
        raise failure("SOURCE_ANSWER", message) from error
