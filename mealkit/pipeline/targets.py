"""Parses a target: a kit, a lock, an image anywhere, or the files of a model.

This is the only place that parses targets. A command states the kinds that it accepts. For every
other kind it fails with the same message as all commands, which suggests what to do. A text that is
an existing path means that path; any other text names an image:

    my-kit, my-kit/kit.yaml      a kit: its folder, or its kit file
    my-kit/kit.lock              a lock
    my-kit:1.0.0, my-kit         an image in the local store, by name; or else a catalogue's kit
    sha256:4f53..., 4f53cd       an image in the local store, by digest or its first digits
    registry.example.org/a/b:1   an image in a registry; the local store may have it already
    oci:DIR, oci-archive:FILE    an image in an OCI layout or archive
"""

import re
import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import assert_never

from mealkit.errors import MealkitError, failure
from mealkit.kit.files import KIT_NAME
from mealkit.oci.index import LAYOUT_FILE
from mealkit.oci.reference import Reference

_LAYOUT, _ARCHIVE, _HUB = "oci:", "oci-archive:", "hub:"
_DIGITS = re.compile(r"sha256:[0-9a-f]{6,64}|[0-9a-f]{6,64}")
_WEIGHTS = frozenset({".safetensors", ".gguf"})
_KIT_FILES = (".yaml", ".yml")
_LOCK_FILES = ".lock"
# Never an archive, whatever is in it.
_TEXTS = frozenset({".py", ".md", ".txt", ".ipynb", ".jinja", ".toml", ".sh", ".cfg"})
_MISNAMED = ("kit.yml", "Kit.yaml", "KIT.yaml", "kit.yaml.txt")
# A text with this start is a path, even if nothing exists there.
_PATHS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class KitFolder:
    """A kit: its folder, or its kit file."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock without its kit."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class StoredName:
    """An image by its name: in the local store, or else in the user's catalogues."""

    text: str


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """An image in the local store, by its digest or the first digits of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a catalogue states about a kit that was found in it by its name."""

    catalog: str
    kit: str
    """NAME:VERSION."""
    signers: tuple[str, ...]
    """Those who signed it, as the catalogue states: fingerprints of keys."""


@dataclass(frozen=True, slots=True)
class RegistryReference:
    """An image in a registry; the local store may have it under the same name."""

    text: str
    reference: Reference
    is_absent: bool = False
    """Whether this command has found out that the local store lacks what it names now."""
    listed: Listing | None = None
    """The entry of a catalogue that gave the reference."""


@dataclass(frozen=True, slots=True)
class LayoutFolder:
    """An image in an OCI layout."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An image in an OCI archive."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of a model without a kit: a folder, or one file."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the Hugging Face Hub: ``hub:OWNER/REPO[/FILE][@REVISION]``."""

    text: str


ElsewhereTarget = RegistryReference | LayoutFolder | ArchiveFile
ImageTarget = StoredName | StoredDigest | ElsewhereTarget
Target = KitFolder | LockFile | ImageTarget | WeightFiles | HubModel


class Here(Enum):
    """The kind of thing at a path on this machine."""

    NOTHING = "nothing"
    KIT = "a folder with a kit file"
    LAYOUT = "a folder with an OCI layout"
    FOLDER = "another folder"
    FILE = "a file"


def look(path: Path) -> Here:
    """Return the kind of thing at a path."""
    if path.is_dir():
        if (path / LAYOUT_FILE).is_file():
            return Here.LAYOUT
        return Here.KIT if (path / KIT_NAME).exists() else Here.FOLDER
    return Here.FILE if path.is_file() else Here.NOTHING


def read_target(text: str, folder: Path = Path()) -> Target:
    """Parse a target; paths are relative to ``folder``.

    Raises:
        KitError: ``TARGET_UNFIT``, it is the path of an OCI layout, without ``oci:``, or of a text.
    """
    for scheme, kind in ((_LAYOUT, LayoutFolder), (_ARCHIVE, ArchiveFile)):
        if text.startswith(scheme):
            return kind(text, folder / text.removeprefix(scheme))
    if text.startswith(_HUB):
        return HubModel(text)
    path = folder / _expanded(text)
    return target_of(text, path, look(path))


def target_of(text: str, path: Path, here: Here) -> Target:
    """Return the target that a text without a scheme names, from the kind of thing at its path.

    Raises:
        KitError: ``TARGET_UNFIT``, an OCI layout is there, or a text.
    """
    match here:
        case Here.LAYOUT:
            raise failure(
                "TARGET_UNFIT",
                f"{text} is an OCI layout, but oci: is missing in front of it",
                where=text,
                hint=f"write oci:{text}, as in: mealkit inspect oci:{text}",
            )
        case Here.KIT:
            return KitFolder(text, path)
        case Here.FOLDER:
            return WeightFiles(text, path)
        case Here.FILE:
            return _file(text, path)
        case Here.NOTHING:
            is_path = text.startswith(_PATHS) or text.endswith(_KIT_FILES)
            return KitFolder(text, path) if is_path else _image(text)
        case _:
            assert_never(here)


def _file(text: str, path: Path) -> Target:
    if text.endswith(_KIT_FILES):
        return KitFolder(text, path)
    if text.endswith(_LOCK_FILES):
        return LockFile(text, path)
    if path.suffix in _WEIGHTS:
        return WeightFiles(text, path)
    if path.suffix in _TEXTS:
        message = f"{text} is neither a kit nor an image"
        hint = "name a kit's folder, its kit.yaml, or an image"
        for above in path.parents:
            if (above / KIT_NAME).is_file():
                message, hint = f"{text} is a file of a kit", f"name the kit's folder: {above}"
                break
        raise failure("TARGET_UNFIT", message, where=text, hint=hint)
    return ArchiveFile(text, path)


def _image(text: str) -> ImageTarget:
    if _DIGITS.fullmatch(text):
        return StoredDigest(text)
    try:
        reference = Reference.parse(text)
    except MealkitError:
        return StoredName(text)  # the store reports what is wrong with it
    return StoredName(text) if reference.registry is None else RegistryReference(text, reference)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the user of ~user is unknown
        return Path(text)


def kit_named(text: str) -> KitFolder:
    """Parse the path of a kit.

    Raises:
        KitError: the target is something else (``TARGET_UNFIT``) or missing (``KIT_NOT_FOUND``).
    """
    match read_target(text):
        case KitFolder() as kit:
            return kit
        case StoredName() | StoredDigest() if ":" not in text and "@" not in text:
            # The name of a missing folder looks like the name of an image.
            raise failure("KIT_NOT_FOUND", f"there is no {text}", where=text)
        case other:
            raise _unfit(other, "a kit")


def image_named(text: str) -> ImageTarget:
    """Parse the name of an image.

    Raises:
        KitError: the target is something else (``TARGET_UNFIT``).
        StoreError: the target is a path that does not exist (``IMAGE_NOT_FOUND``).
    """
    match read_target(text):
        case KitFolder() | LockFile() | WeightFiles() | HubModel() as other:
            raise _unfit(other, "an image")
        case image:
            return image


def kit_or_image_named(text: str) -> KitFolder | ImageTarget:
    """Parse the name of something that can be run: a kit or an image.

    Raises:
        KitError: the target is something else (``TARGET_UNFIT``).
    """
    match read_target(text):
        case LockFile() | WeightFiles() | HubModel() as other:
            raise _unfit(other, "a kit or an image")
        case found:
            return found


def recipe_named(text: str) -> KitFolder | LockFile | ImageTarget:
    """Parse the name of something that states a recipe: a kit, a lock or an image.

    Raises:
        KitError: the target is something else (``TARGET_UNFIT``).
    """
    match read_target(text):
        case WeightFiles() | HubModel() as other:
            raise _unfit(other, "a kit, a lock or an image")
        case found:
            return found


def output_named(text: str) -> LayoutFolder | ArchiveFile:
    """Parse the place on this machine to write an image to.

    Raises:
        KitError: the target is neither an OCI layout nor an archive (``TARGET_UNFIT``).
    """
    place = read_target(text)
    if isinstance(place, LayoutFolder | ArchiveFile) and text.startswith((_LAYOUT, _ARCHIVE)):
        return place
    scheme = _ARCHIVE if text.endswith(".tar") else _LAYOUT
    raise failure(
        "TARGET_UNFIT",
        f"{text} is neither oci:DIRECTORY nor oci-archive:FILE",
        where=text,
        hint=f"write {scheme}{text}",
    )


def registry_named(text: str) -> RegistryReference:
    """Parse the reference in a registry to push an image to.

    Raises:
        KitError: the target names no registry (``TARGET_UNFIT``).
        StoreError: the target is not a valid reference (``REFERENCE_INVALID``).
    """
    reference = Reference.parse(text)
    if reference.registry is None:
        message = f"{text} names no registry"
        raise failure("TARGET_UNFIT", message, where=text, hint=f"write REGISTRY/{reference}")
    return RegistryReference(text, reference)


def base_named(text: str, folder: Path) -> ElsewhereTarget:
    """Parse the reference of a kit's base image; paths are relative to the kit's ``folder``.

    Raises:
        KitError: it is the path of an OCI layout, without ``oci:`` (``TARGET_UNFIT``).
        StoreError: it is not a valid reference (``REFERENCE_INVALID``).
    """
    found = read_target(text, folder)
    if isinstance(found, LayoutFolder | ArchiveFile) and text.startswith((_LAYOUT, _ARCHIVE)):
        return found
    return RegistryReference(text, Reference.parse(text))


def _unfit(target: Target, wanted: str) -> MealkitError:
    """Return the problem: what the target is, what the command accepts, and a command to use."""
    text = target.text
    if isinstance(target, KitFolder) and look(target.path) is Here.NOTHING:
        return failure("IMAGE_NOT_FOUND", f"there is no file or folder {text}", where=text)
    if isinstance(target, WeightFiles) and target.path.is_dir():
        file = str(target.path / KIT_NAME)
        other = next((name for name in _MISNAMED if (target.path / name).is_file()), None)
        hint = f"mv {shlex.quote(str(target.path / other))} {shlex.quote(file)}" if other else None
        return failure("KIT_NOT_FOUND", f"there is no {file}", where=file, hint=hint)
    what, hint = _kind(target)
    return failure("TARGET_UNFIT", f"{text} is {what}, not {wanted}", where=text, hint=hint)


def _kind(target: Target) -> tuple[str, str]:
    """Return what the target is, and a command that accepts it."""
    text = target.text
    match target:
        case KitFolder():
            return "a kit", f"mealkit build {text} builds its image and prints its digest"
        case LockFile():
            return "a lock", f"name the kit's folder instead: {target.path.parent}"
        case ArchiveFile() if not text.startswith(_ARCHIVE):
            return "a file, read as an OCI archive", "the name of a kit's file ends in .yaml"
        case StoredName() | StoredDigest() | RegistryReference() | LayoutFolder() | ArchiveFile():
            return "an image", f"mealkit inspect {text}, or: mealkit run {text}"
        case WeightFiles():
            return "a file of weights", f"mealkit estimate {text}"
        case HubModel():
            source = text.removeprefix(_HUB)
            hint = f"mealkit estimate {text}, or: mealkit new NAME --from hub {source}"
            return "a model on the Hub", hint
        case _:
            assert_never(target)
