"""The base of an image, as a lock pins it: Debian packages, or another image."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mealkit.digest import Digest
from mealkit.names import clash
from mealkit.recipe.answers import CHANGES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.strings import (
    Bytes,
    DebianArchitecture,
    DebianName,
    DebianVersion,
    Glibc,
    MaybeLine,
    Name,
    RelativePath,
)


def require_apart(paths: Iterable[str]) -> None:
    """Raise ValueError if two paths cannot both exist."""
    if found := clash(paths):
        raise ValueError(f"{found[0]!r} and {found[1]!r} cannot both exist")


class LockedDeb(StrictModel):
    """A Debian package, pinned."""

    name: Annotated[DebianName, CHANGES_ANSWERS]
    """The package's name."""
    version: Annotated[DebianVersion, CHANGES_ANSWERS]
    """The package's version."""
    architecture: Annotated[DebianArchitecture, CHANGES_ANSWERS]
    """The package's architecture, or ``all``."""
    filename: Annotated[RelativePath, KEEPS_ANSWERS]
    """The package's path below a mirror's root."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The package's digest."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """The package's size."""


class LockedDebianBase(StrictModel):
    """A base of Debian packages."""

    source: Annotated[Literal["debian"], CHANGES_ANSWERS] = "debian"
    """The kind of base."""
    suite: Annotated[Name, CHANGES_ANSWERS]
    """The suite."""
    packages: Annotated[tuple[LockedDeb, ...], CHANGES_ANSWERS]
    """The packages, sorted by name."""

    @model_validator(mode="after")
    def _has_packages_apart(self) -> Self:
        require_apart(package.name for package in self.packages)
        return self


class LockedImageBase(StrictModel):
    """A base image."""

    source: Annotated[Literal["image"], CHANGES_ANSWERS] = "image"
    """The kind of base."""
    name: Annotated[MaybeLine, KEEPS_ANSWERS]
    """The repository's name, without its registry."""
    digest: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of the manifest for the kit's platform."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """The compressed size of the image's layers."""
    glibc: Annotated[Glibc, KEEPS_ANSWERS] = "2.28"
    """The version of the image's C library, as the kit states it."""


LockedBase = Annotated[LockedDebianBase | LockedImageBase, Field(discriminator="source")]
