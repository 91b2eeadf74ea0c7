"""Reads what a caller names: a kit, an image wherever it is, or the files of a model.

The text is read once, here, into one of a few kinds. A command asks for the kinds that it takes;
for the others it gives the same refusal as every other command, with a suggestion. What is at a
path here is that path; any other text names an image:

    my-kit, my-kit/kit.yaml      a kit: its folder, or its kit file
    my-kit/kit.lock              a lock
    my-kit:1.0.0                 an image of the local store, by name
    sha256:4f53..., 4f53cd       an image of the local store, by digest or its first digits
    registry.example.org/a/b:1   an image of a registry, unless the local store has it
    oci:DIR, oci-archive:FILE    an image in an OCI layout or archive
"""

import re
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
# A text that begins so is a path, whether something is there or not.
_PATHS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class KitFolder:
    """A kit: its folder, or its kit file."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock, apart from its kit."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class StoredName:
    """An image of the local store, by its name."""

    text: str


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """An image of the local store, by its digest or the first digits of it."""

    text: str


@dataclass(frozen=True, slots=True)
class RegistryReference:
    """An image of a registry; the local store may have it under the same name."""

    text: str
    reference: Reference


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
    """The files of a model that is no kit: a folder of them, or one file."""

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
    """What lies at a path of this machine."""

    NOTHING = "nothing"
    KIT = "a folder with a kit file"
    LAYOUT = "a folder with an OCI layout"
    FOLDER = "another folder"
    FILE = "a file"


def look(path: Path) -> Here:
    """Say what lies at a path."""
    if path.is_dir():
        if (path / LAYOUT_FILE).is_file():
            return Here.LAYOUT
        return Here.KIT if (path / KIT_NAME).exists() else Here.FOLDER
    return Here.FILE if path.is_file() else Here.NOTHING


def read_target(text: str, folder: Path = Path()) -> Target:
    """Read what a caller names; paths are relative to ``folder``.

    Raises:
        KitError: ``TARGET_UNFIT``: it is the path of an OCI layout, without ``oci:``.
    """
    for scheme, kind in ((_LAYOUT, LayoutFolder), (_ARCHIVE, ArchiveFile)):
        if text.startswith(scheme):
            return kind(text, folder / text.removeprefix(scheme))
    if text.startswith(_HUB):
        return HubModel(text)
    path = folder / _expanded(text)
    return target_of(text, path, look(path))


def target_of(text: str, path: Path, here: Here) -> Target:
    """Return what a text without a scheme names, by what lies at its path; this reads nothing.

    Raises:
        KitError: ``TARGET_UNFIT``: an OCI layout lies there.
    """
    match here:
        case Here.LAYOUT:
            raise failure(
                "TARGET_UNFIT",
                f"{text} is an OCI layout, and is named without oci:",
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
    return ArchiveFile(text, path)


def _image(text: str) -> ImageTarget:
    if _DIGITS.fullmatch(text):
        return StoredDigest(text)
    try:
        reference = Reference.parse(text)
    except MealkitError:
        return StoredName(text)  # the store says what is wrong with it
    return StoredName(text) if reference.registry is None else RegistryReference(text, reference)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no such user
        return Path(text)


def kit_named(text: str) -> KitFolder:
    """Read the name of a kit.

    Raises:
        KitError: it names something else (``TARGET_UNFIT``), or nothing (``KIT_NOT_FOUND``).
    """
    match read_target(text):
        case KitFolder() as kit:
            return kit
        case StoredName() | StoredDigest() if ":" not in text and "@" not in text:
            # A folder that is not there reads like a name.
            raise failure("KIT_NOT_FOUND", f"there is no {text}", where=text)
        case other:
            raise _unfit(other, "a kit")


def image_named(text: str) -> ImageTarget:
    """Read the name of an image.

    Raises:
        KitError: it names something else (``TARGET_UNFIT``).
        StoreError: it is a path, and nothing is there (``IMAGE_NOT_FOUND``).
    """
    match read_target(text):
        case KitFolder() | LockFile() | WeightFiles() | HubModel() as other:
            raise _unfit(other, "an image")
        case image:
            return image


def kit_or_image_named(text: str) -> KitFolder | ImageTarget:
    """Read the name of something that can be run.

    Raises:
        KitError: it names something else (``TARGET_UNFIT``).
    """
    match read_target(text):
        case LockFile() | WeightFiles() | HubModel() as other:
            raise _unfit(other, "a kit or an image")
        case found:
            return found


def recipe_named(text: str) -> KitFolder | LockFile | ImageTarget:
    """Read the name of something that states a recipe.

    Raises:
        KitError: it names something else (``TARGET_UNFIT``).
    """
    match read_target(text):
        case WeightFiles() | HubModel() as other:
            raise _unfit(other, "a kit, a lock or an image")
        case found:
            return found


def output_named(text: str) -> LayoutFolder | ArchiveFile:
    """Read where an image is to be written.

    Raises:
        KitError: it names no place on this machine (``TARGET_UNFIT``).
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
    """Read where in a registry an image is to be sent.

    Raises:
        KitError: it names no registry (``TARGET_UNFIT``).
        StoreError: it is not a reference (``REFERENCE_INVALID``).
    """
    reference = Reference.parse(text)
    if reference.registry is None:
        message = f"{text} names no registry"
        raise failure("TARGET_UNFIT", message, where=text, hint=f"write REGISTRY/{reference}")
    return RegistryReference(text, reference)


def base_named(text: str, folder: Path) -> ElsewhereTarget:
    """Read the reference of a kit's base image; paths are relative to the kit's ``folder``.

    Raises:
        KitError: it is the path of an OCI layout, without ``oci:`` (``TARGET_UNFIT``).
        StoreError: it is not a reference (``REFERENCE_INVALID``).
    """
    found = read_target(text, folder)
    if isinstance(found, LayoutFolder | ArchiveFile) and text.startswith((_LAYOUT, _ARCHIVE)):
        return found
    return RegistryReference(text, Reference.parse(text))


def _unfit(target: Target, wanted: str) -> MealkitError:
    """Say what was named, what is asked for, and which command takes the former."""
    text = target.text
    if isinstance(target, KitFolder) and look(target.path) is Here.NOTHING:
        return failure("IMAGE_NOT_FOUND", f"there is no file or folder {text}", where=text)
    if isinstance(target, WeightFiles) and target.path.is_dir():
        file = str(target.path / KIT_NAME)
        return failure("KIT_NOT_FOUND", f"there is no {file}", where=file)
    what, hint = _kind(target)
    return failure("TARGET_UNFIT", f"{text} is {what}, not {wanted}", where=text, hint=hint)


def _kind(target: Target) -> tuple[str, str]:
    """Return what was named, and what can be done with it."""
    text = target.text
    match target:
        case KitFolder():
            return "a kit", f"mealkit build {text} makes its image and prints its digest"
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
