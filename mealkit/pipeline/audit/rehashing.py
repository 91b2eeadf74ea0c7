"""Hashes again what lies on a disk or runs now, and compares it with what a lock or an image pins.

The first file that differs is named, with both digests.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.assembly.lean import lean_image
from mealkit.containers.container import Mount
from mealkit.containers.container_files import ContainerContents
from mealkit.digest import digest_of_file
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.image import Image
from mealkit.oci.listed_files import ListedFile, digest_of_chunks, listed_files
from mealkit.oci.untar import Kind
from mealkit.oci.validate import validate
from mealkit.paths import MODELS
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.kit_image import open_kit_image
from mealkit.pipeline.machine.clients import client_of, container_meant_by, is_running
from mealkit.pipeline.machine.stated_needs import open_recipe
from mealkit.pipeline.opening_images import open_image
from mealkit.pipeline.targets import (
    ArchiveFile,
    Here,
    ImageTarget,
    LayoutFolder,
    StoredDigest,
    StoredName,
    WeightFiles,
    look,
    read_target,
)
from mealkit.plan.planning import files_in_image
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.untrusted import UntrustedError


@dataclass(frozen=True, slots=True)
class Rehash:
    """What was hashed again, compared with what, and the first difference."""

    what: str
    pinned_by: str
    """The digest of the image, or the recipe of the lock."""
    files: int
    """How many files or blobs were compared."""
    problems: tuple[Problem, ...]


def rehash(
    target: str, home: Home, progress: Progress = SILENT, *, against: str | None = None
) -> Rehash:
    """Hash a target again: an image on disk or in the store, a folder of weights, a running kit.

    ``against`` is the kit, lock or image to compare with: needed for weights; a running kit is
    compared with the image that it states, by default.

    Raises:
        MealkitError: the target, or what it is compared with, cannot be read.
    """
    here = look(Path(target))
    if here is Here.LAYOUT:
        return _image(LayoutFolder(f"oci:{target}", Path(target)), home, progress)
    if here in {Here.NOTHING, Here.KIT}:
        name = container_meant_by(target, home)
        if is_running(name, home):
            return _container(name, home, progress, against)
    match read_target(target):
        case LayoutFolder() | ArchiveFile() | StoredName() | StoredDigest() as found:
            return _image(found, home, progress)
        case WeightFiles(path=path) if path.is_dir():
            return _weights(path, home, progress, against)
        case _:
            raise failure(
                "TARGET_UNFIT",
                f"{target} is neither an image on this machine, a folder of weights nor a kit"
                " that runs here",
                where=target,
                hint="for an image in a registry: mealkit verify REF --key FILE, or --rebuild",
            )


def _image(target: ImageTarget, home: Home, progress: Progress) -> Rehash:
    """Read every blob again, and name the first file of weights that differs."""
    with open_kit_image(target, home, progress) as kit:
        size_bytes = sum(item.blob.size_bytes for image in kit.images for item in image.layers)
        task = progress.task("hashing", size_bytes)
        found = [
            _with_file(item, image, kit.lock)
            for image in kit.images
            for item in validate(image, task.advance)
        ]
        task.done()
        blobs = {item.blob.digest for image in kit.images for item in image.layers}
        return Rehash(target.text, kit.subject.digest, len(blobs), tuple(found))


def _with_file(found: Problem, image: Image, lock: Lock) -> Problem:
    """Add to the problem of a layer which of its files is not the one in the lock."""
    layer = next((item for item in image.layers if item.blob.digest == found.where), None)
    if layer is None:
        return found
    pinned = {path.encode(): item.sha256 for path, item in files_in_image(lock).items()}
    try:
        listed = listed_files([layer])
    except (UntrustedError, MealkitError):
        return found
    for path, file in listed.items():
        if path in pinned and file.digest != pinned[path]:
            name = os.fsdecode(path)
            message = f"{found.message}; in it, {name} is {file.digest}, not {pinned[path]}"
            return replace(found, message=message)
    title = layer.created_by or "a layer of the base image"
    return replace(found, message=f"{found.message}; it is {title!r}")


def _weights(folder: Path, home: Home, progress: Progress, against: str | None) -> Rehash:
    """Compare a folder with the model's files in a lock: each must be there, and no other."""
    if against is None:
        hint = f"mealkit verify {folder} --against KIT, a kit.lock or an image"
        raise failure("USAGE", "what the weights should be is not stated", hint=hint)
    lock = _lock(against, home, progress)
    task = progress.task("hashing", lock.weights_bytes)
    pinned = {item.path: item for item in lock.model.files}
    there = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    )
    differences = []
    for name in sorted({*pinned, *there}):
        if name not in pinned:
            differences.append(_differs(name, "no such file", "a file"))
            continue
        measured = str(digest_of_file(folder / name)) if name in there else "no such file"
        task.advance(pinned[name].size_bytes)
        if measured != pinned[name].sha256:
            differences.append(_differs(name, pinned[name].sha256, measured))
    task.done()
    return Rehash(str(folder), str(lock.recipe), len(pinned), _first(differences, str(folder)))


def _container(name: str, home: Home, progress: Progress, against: str | None) -> Rehash:
    """Compare a running kit with its image: its files, its mounted weights, its command."""
    with client_of(name, home).contents(name) as contents:
        target = against or contents.stated
        if target is None:
            message = f"{name} does not state its image"
            raise failure("USAGE", message, hint=f"mealkit verify {name} --against IMAGE")
        with open_image(target, home, progress=progress) as image:
            lock = lock_of(image)
            is_lean = any(item.target.startswith(f"/{MODELS}/") for item in contents.mounts)
            shown = lean_image(image) if is_lean else image
            task = progress.task("hashing", sum(item.blob.size_bytes for item in shown.layers))
            expected = listed_files(shown.layers, task.advance)
            task.done()
            progress.phase(f"hashing the files of {name}")
            differences = [
                *_command_differences(image, contents),
                *_mount_differences(lock, expected, contents.mounts),
                *_file_differences(expected, contents),
            ]
            count = len(expected) + len(contents.mounts)
            return Rehash(name, str(image.digest), count, _first(differences, name))


def _command_differences(image: Image, contents: ContainerContents) -> Iterator[Problem]:
    config = image.config.get("config") or {}
    command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if contents.entrypoint is not None and contents.entrypoint != command:
        yield _differs("the command", " ".join(command), " ".join(contents.entrypoint))


def _mount_differences(
    lock: Lock, expected: dict[bytes, ListedFile], mounts: Iterable[Mount]
) -> Iterator[Problem]:
    """Yield the weights that are mounted and wrong, or neither mounted nor in the image."""
    sources = {item.target: item.source for item in mounts}
    for file in lock.model.files:
        path = f"/{MODELS}/{file.path}"
        source = sources.get(path)
        if source is not None:
            try:
                measured = str(digest_of_file(source))
            except OSError as error:
                measured = f"{source}, which cannot be read: {error.strerror}"
            if measured != file.sha256:
                yield _differs(path, file.sha256, measured)
        elif path[1:].encode() not in expected:
            yield _differs(path, file.sha256, "no such file")


def _file_differences(
    expected: dict[bytes, ListedFile], contents: ContainerContents
) -> Iterator[Problem]:
    """Yield the files of a container that the image does not have like this, and missing ones."""
    left = dict(expected)
    known: dict[bytes, ListedFile] = {}
    try:
        for file in contents.files:
            wanted = left.pop(file.path, None)
            found = known[file.path] = _found(file.kind, file.target, file.chunks, known)
            if wanted is None and found.kind is Kind.DIRECTORY:
                continue  # clients create the folders that they mount at
            if found != wanted:
                yield _differs(os.fsdecode(file.path), _text(wanted), _text(found))
    except UntrustedError as error:
        yield problem("CONTENT_DIFFERS", f"the files of the container cannot be read: {error}")
        return
    mounted = {os.fsencode(item.target).strip(b"/") for item in contents.mounts}
    for path, wanted in left.items():
        if path not in mounted and not path.startswith(_NOT_SHOWN):
            yield _differs(os.fsdecode(path), _text(wanted), "no such file")


# What a client puts something else over, so that it is not among the files of a container.
_NOT_SHOWN = (b"dev", b"proc", b"sys", b"run", b"tmp", b"etc/resolv.conf", b"etc/host", b"etc/mtab")


def _found(
    kind: Kind,
    target: bytes,
    chunks: Iterable[bytes | memoryview],
    known: dict[bytes, ListedFile],
) -> ListedFile:
    match kind:
        case Kind.FILE:
            return ListedFile(kind, digest_of_chunks(chunks))
        case Kind.HARDLINK:
            return known.get(target.strip(b"/"), ListedFile(kind, target=target))
        case Kind.SYMLINK:
            return ListedFile(kind, target=target)
        case Kind.DIRECTORY | Kind.SPECIAL:
            return ListedFile(kind)


def _lock(target: str, home: Home, progress: Progress) -> Lock:
    recipe = open_recipe(target, home, (), progress)
    if isinstance(recipe, Lock):
        return recipe
    with open_kit_image(recipe, home, progress) as kit:
        return kit.lock


def _differs(name: str, required: str, measured: str) -> Problem:
    message = f"{name}: expected {required}, found {measured}"
    return problem("CONTENT_DIFFERS", message, where=name, measured=measured, required=required)


def _first(differences: list[Problem], where: str) -> tuple[Problem, ...]:
    """Return the first difference, with the number of the others."""
    if not differences:
        return ()
    first, more = differences[0], len(differences) - 1
    message = f"{first.message}, and {more} more" if more else first.message
    return (replace(first, message=message, where=where),)


def _text(file: ListedFile | None) -> str:
    if file is None:
        return "no such file"
    if file.digest is not None:
        return file.digest
    if file.target:
        return f"{file.kind.value} to {os.fsdecode(file.target)}"
    return file.kind.value
