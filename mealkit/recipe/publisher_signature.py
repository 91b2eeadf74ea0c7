"""The publisher's signature of weights: what a kit demands, and what its lock records of it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from mealkit.digest import Digest
from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.strings import LoosePath, RelativePath, Sha256

USUAL_SIGNATURE = "model.sig"
"""The name that model_signing gives to a signature beside a model."""


class SignedBy(StrictModel):
    """Whose signature the files must have: an OpenSSF Model Signing 1.0 signature with a key."""

    key: Annotated[LoosePath, KEEPS_ANSWERS]
    """The publisher's public key in PEM, a file in the kit's folder."""
    signature: Annotated[RelativePath | None, KEEPS_ANSWERS] = None
    """The signature's file at the source, beside the files. Default: model.sig."""
    signature_file: Annotated[LoosePath | None, KEEPS_ANSWERS] = None
    """The signature's file in the kit's folder, for a source that does not have it."""

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if self.signature is not None and self.signature_file is not None:
            raise ValueError("signature and signature_file cannot both be set")
        return self

    @property
    def kit_files(self) -> tuple[str, ...]:
        """The files in the kit's folder that it names."""
        return tuple(filter(None, (self.key, self.signature_file)))


class LockedSignature(StrictModel):
    """A publisher's signature that was verified when the lock was made."""

    key: Annotated[Sha256, KEEPS_ANSWERS]
    """The SHA-256 of the public key (of its DER form), in hex."""
    sha256: Annotated[Digest, KEEPS_ANSWERS]
    """The digest of the signature's file."""
    files: Annotated[tuple[RelativePath, ...], Field(min_length=1), KEEPS_ANSWERS]
    """The paths of the files below /models that it covers, sorted."""
