"""Where a file of the model was found: enough to find it again with the kit, but no host."""

from typing import Annotated, Literal

from pydantic import Field

from mealkit.digest import Digest
from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.strings import (
    ArtifactRepository,
    HubCommit,
    HubRepository,
    PackageName,
    PackageVersion,
    RelativePath,
)


class HubOrigin(StrictModel):
    """A file in a repository of the Hub, at a commit."""

    source: Annotated[Literal["hub"], KEEPS_ANSWERS] = "hub"
    """The kind of source."""
    repo: Annotated[HubRepository, KEEPS_ANSWERS]
    """The repository."""
    commit: Annotated[HubCommit, KEEPS_ANSWERS]
    """The commit that the revision was resolved to."""
    file: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file's path in the repository."""


class WheelOrigin(StrictModel):
    """A member of a wheel."""

    source: Annotated[Literal["wheel"], KEEPS_ANSWERS] = "wheel"
    """The kind of source."""
    package: Annotated[PackageName, KEEPS_ANSWERS]
    """The package's name."""
    version: Annotated[PackageVersion, KEEPS_ANSWERS]
    """The package's version."""
    member: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file's path in the wheel."""


class HttpOrigin(StrictModel):
    """A file below a URL, which the kit states."""

    source: Annotated[Literal["http"], KEEPS_ANSWERS] = "http"
    """The kind of source."""
    file: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file's path below the address."""


class FolderOrigin(StrictModel):
    """A file in a folder, which the kit states."""

    source: Annotated[Literal["folder"], KEEPS_ANSWERS] = "folder"
    """The kind of source."""
    file: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file's path in the folder."""


class OciOrigin(StrictModel):
    """A file of an artifact in a registry, which the kit states."""

    source: Annotated[Literal["oci"], KEEPS_ANSWERS] = "oci"
    """The kind of source."""
    repository: Annotated[ArtifactRepository, KEEPS_ANSWERS]
    """The repository's name, without its registry."""
    digest: Annotated[Digest, KEEPS_ANSWERS]
    """The digest of the artifact's manifest."""
    file: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file's path in the artifact."""


Origin = Annotated[
    HubOrigin | WheelOrigin | HttpOrigin | FolderOrigin | OciOrigin,
    Field(discriminator="source"),
]
