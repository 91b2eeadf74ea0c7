"""The places where the files of a model or a data set come from, as kit.yaml names them."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from mealkit.recipe.answers import DECIDES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.recipe.publisher_signature import SignedBy
from mealkit.strings import (
    ArtifactReference,
    HubRepository,
    HubRevision,
    LoosePath,
    MachinePath,
    PackageName,
    PackageVersion,
    RelativePath,
    Sha256,
    Url,
)


class HubPlace(StrictModel):
    """A repository on the Hugging Face Hub (or on a server with its API, set by HF_ENDPOINT)."""

    source: Annotated[Literal["hub"], KEEPS_ANSWERS]
    """The kind of source."""
    repo: Annotated[HubRepository, KEEPS_ANSWERS]
    """The repository: OWNER/NAME."""
    revision: Annotated[HubRevision, KEEPS_ANSWERS]
    """The commit, 40 hex digits. The lock resolves a branch or tag to a commit, and reports it."""


class WheelPlace(StrictModel):
    """A model that is distributed inside a Python wheel."""

    source: Annotated[Literal["wheel"], KEEPS_ANSWERS]
    """The kind of source."""
    package: Annotated[PackageName, KEEPS_ANSWERS]
    """The package's name on the index."""
    version: Annotated[PackageVersion, KEEPS_ANSWERS]
    """The package's exact version."""
    prefix: Annotated[LoosePath | None, KEEPS_ANSWERS] = None
    """The folder inside the wheel that contains the files."""


class HttpPlace(StrictModel):
    """Files below a URL."""

    source: Annotated[Literal["http"], KEEPS_ANSWERS]
    """The kind of source."""
    url: Annotated[Annotated[Url, StringConstraints(pattern=r"^https?://[^\s?#]+$")], KEEPS_ANSWERS]
    """The address of the folder; a file's name is appended to it. Plain http only on loopback."""


class FolderPlace(StrictModel):
    """Files in a folder on this machine."""

    source: Annotated[Literal["folder"], KEEPS_ANSWERS]
    """The kind of source."""
    path: Annotated[MachinePath, KEEPS_ANSWERS]
    """The folder, relative to the kit's own. A folder outside of it only if the caller allows it:
    --allow-folder."""


class OciPlace(StrictModel):
    """A model in a registry: a CNCF ModelPack, a ModelKit of KitOps, or a model of Docker."""

    source: Annotated[Literal["oci"], KEEPS_ANSWERS]
    """The kind of source."""
    reference: Annotated[ArtifactReference, KEEPS_ANSWERS]
    """The artifact: REGISTRY/NAME:TAG, with or without @sha256:.... The lock resolves a tag to a
    digest, and reports it."""


Place = Annotated[
    HubPlace | WheelPlace | HttpPlace | FolderPlace | OciPlace, Field(discriminator="source")
]


class _Files(StrictModel):
    files: Annotated[tuple[RelativePath, ...], Field(min_length=1), DECIDES_ANSWERS]
    """The files, by name or pattern (``*.safetensors``; not for http)."""
    into: Annotated[LoosePath | None, DECIDES_ANSWERS] = None
    """The folder for the files: below /models, or below the data set's own."""
    sha256: Annotated[dict[RelativePath, Sha256], KEEPS_ANSWERS] = Field(default_factory=dict)
    """The required SHA-256 of a file, by the file's name. The lock rejects any other."""
    mirrors: Annotated[tuple[Place, ...], KEEPS_ANSWERS] = ()
    """Other places with the same bytes, tried in order when the source fails."""
    signed_by: Annotated[SignedBy | None, KEEPS_ANSWERS] = None
    """The publisher whose signature all these files must have; the lock checks and records it."""

    @model_serializer(mode="wrap")
    def _without_what_is_rare(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Locks have a digest of this form: it must stay what it was before the field existed.
        form: dict[str, Any] = handler(self)
        return {name: value for name, value in form.items() if value or name != "signed_by"}


class HubWeights(HubPlace, _Files):
    """Weights from the Hub."""


class WheelWeights(WheelPlace, _Files):
    """Weights from a wheel."""


class HttpWeights(HttpPlace, _Files):
    """Weights from a URL."""


class FolderWeights(FolderPlace, _Files):
    """Weights from a folder."""


class OciWeights(OciPlace, _Files):
    """Weights from a registry."""


Weights = Annotated[
    HubWeights | WheelWeights | HttpWeights | FolderWeights | OciWeights,
    Field(discriminator="source"),
]
