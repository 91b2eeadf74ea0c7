"""Finds the inputs of a lock without its kit, for building an image again.

Each input is accepted by its digest, so it does not matter where it comes from: the verified files
of this machine, folders that the caller names, the sources that the lock names, and for weights the
image itself.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mealkit.digest import Digest, digest_of_file
from mealkit.errors import MealkitError, Problem, failure
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image, Layer
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_inputs import (
    fetch_locked_debs,
    fetch_locked_wheels,
    inputs_of,
)
from mealkit.pipeline.image.taking_files import files_in_layer
from mealkit.pipeline.image.vouching import require_signed
from mealkit.pipeline.kit.supplies import downloader
from mealkit.pipeline.opening_images import open_elsewhere, open_image
from mealkit.pipeline.targets import RegistryReference, StoredDigest, base_named, image_named
from mealkit.plan.layers import Bytecode, ImageBase, LayerPlan, Plan
from mealkit.plan.planning import files_in_image
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.sources.file_cache import FileCache

# Another place may have the input, or it is only in the kit's folder.
_MISSING = ("SOURCE_", "PACKAGES_", "WHEEL_", "DEBIAN_", "KIT_FILE_MISSING")


class Unavailable(Exception):  # noqa: N818  it is no error of the program, but a state of an input
    """An input of a layer is not available here."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class RebuildInputs:
    """Where inputs may come from."""

    home: Home
    progress: Progress
    given: dict[Digest, Path]
    """The files that the caller named, by digest."""
    base: str | None
    """The target of the base image, if the caller names it."""
    target: str
    """The target of the image that is built again."""
    vouched: list[LockedDebianBase] = field(default_factory=list)
    """The bases whose packages were found in a signed index."""

    @classmethod
    def of(
        cls,
        home: Home,
        progress: Progress,
        folders: Sequence[Path],
        base: str | None,
        target: str,
    ) -> "RebuildInputs":
        """Hash the files in the folders that the caller names."""
        given = {
            digest_of_file(path): path
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return cls(home, progress, given, base, target)


def fetch_for_layer(
    layer: LayerPlan, found: Layer, lock: Lock, compiler: Lock, inputs: RebuildInputs
) -> tuple[dict[Digest, Path], list[str]]:
    """Return a verified file for every input of a layer, and the paths of those from the image.

    ``found`` is the layer in the image.

    Raises:
        Unavailable: an input is not available.
        TrustError: ``REBUILD_DIFFERS``: the image has other weights than its lock, and no source
            has those of the lock.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    wanted = inputs_of([layer])
    files = {digest: inputs.given[digest] for digest in wanted & inputs.given.keys()}
    with _unavailable():
        if any(isinstance(content, Bytecode) for content in layer.contents):
            _require_signed(compiler, inputs)
        files |= _packages(wanted - files.keys(), lock, compiler, inputs)
    pinned = {
        path: item
        for path, item in files_in_image(lock).items()
        if item.sha256 in wanted - files.keys()
    }
    if not pinned:
        return files, []
    fetched, problems = _from_origins([*pinned.values()], inputs)
    files |= fetched
    missing = {path: item for path, item in pinned.items() if item.sha256 not in fetched}
    if missing:
        files |= _from_layer(missing, found, inputs, problems)
    return files, [item.path for item in missing.values()]


@contextmanager
def base_of(plan: Plan, inputs: RebuildInputs) -> Iterator[Image | None]:
    """Open the base image of a plan, if it has one: only manifest and config are read.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``: no place has it.
        BuildError: ``BASE_INVALID``: the caller's base has another digest.
    """
    if plan.base is None:
        yield None
        return
    with ExitStack() as stack:
        for place in _base_places(plan.base, plan.architecture, inputs):
            with suppress(MealkitError):
                image = stack.enter_context(place)
                if image.digest == plan.base.digest:
                    break
        else:
            raise failure(
                "IMAGE_NOT_FOUND",
                f"the base image {plan.base.name}@{plan.base.digest} is neither in the local store"
                " nor at the image's registry",
                where="runtime.base",
                hint="name where it is: --base REF",
            )
        yield image


def _base_places(
    base: ImageBase, architecture: str, inputs: RebuildInputs
) -> Iterator[AbstractContextManager[Image]]:
    """Yield where a base image may be: where the caller says, the store, the image's registry."""
    platform = Platform("linux", architecture)
    if inputs.base is not None:
        yield open_elsewhere(base_named(inputs.base, Path()), platform)
    yield open_image(StoredDigest(str(base.digest)), inputs.home, platform)
    named = image_named(inputs.target)
    if isinstance(named, RegistryReference) and base.name:
        reference = Reference(named.reference.registry, base.name, digest=base.digest)
        yield open_elsewhere(RegistryReference(str(reference), reference), platform)


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn the problem of an input that no place has into ``Unavailable``."""
    try:
        yield
    except MealkitError as error:
        if all(item.code.startswith(_MISSING) for item in error.problems):
            raise Unavailable(error.problems) from error
        raise


def _require_signed(compiler: Lock, inputs: RebuildInputs) -> None:
    """Check that the packages are Debian's, because their Python is run to compile modules."""
    base = compiler.runtime.base
    if base in inputs.vouched or not isinstance(base, LockedDebianBase):
        return
    require_signed(base, compiler.runtime.architecture, inputs.home, inputs.progress)
    inputs.vouched.append(base)


def _packages(
    wanted: Collection[Digest], lock: Lock, compiler: Lock, inputs: RebuildInputs
) -> dict[Digest, Path]:
    """Fetch the Python and Debian packages among the wanted inputs."""
    wheels = {item.sha256: item for item in lock.wheels}
    bases = [item.runtime.base for item in (lock, compiler)]
    debs = {
        deb.sha256: deb
        for base in bases
        if isinstance(base, LockedDebianBase)
        for deb in base.packages
    }
    own_wheels = [item for digest, item in wheels.items() if digest in wanted]
    own_debs = [item for digest, item in debs.items() if digest in wanted]
    found: dict[Digest, Path] = {}
    if own_wheels:
        found |= fetch_locked_wheels(lock, own_wheels, inputs.home, inputs.progress)
    if own_debs:
        found |= fetch_locked_debs(own_debs, inputs.home, inputs.progress)
    return found


def _from_origins(
    weights: Sequence[LockedFile], inputs: RebuildInputs
) -> tuple[dict[Digest, Path], list[Problem]]:
    from mealkit.sources.locked_origins import fetch_from_origins
    from mealkit.sources.source import Supplies

    task = inputs.progress.task("weights and data", sum(item.size_bytes for item in weights))
    with downloader(inputs.home, task) as fetcher:
        found, problems = fetch_from_origins(weights, Supplies(fetcher))
    task.done(f"{len(found)} of {len(weights)} files present or from the sources in the lock")
    return found, problems


def _from_layer(
    missing: Mapping[str, LockedFile], layer: Layer, inputs: RebuildInputs, problems: list[Problem]
) -> dict[Digest, Path]:
    """Take files from the image's layer, which must have the bytes that the lock pins.

    Raises:
        TrustError: ``REBUILD_DIFFERS``: it has others.
    """

    def differs(
        message: str, measured: Digest | None = None, required: Digest | None = None
    ) -> MealkitError:
        where = layer.blob.digest
        return failure(
            "REBUILD_DIFFERS", message, where=where, measured=measured, required=required
        )

    found = files_in_layer(layer, missing, FileCache(inputs.home.files), differs)
    for path, file in missing.items():
        if file.sha256 not in found:
            raise differs(f"{path} is in the lock, but not in the image")
    inputs.progress.phase(_note([*missing.values()], problems))
    return found


def _note(files: Sequence[LockedFile], problems: Sequence[Problem]) -> str:
    names = ", ".join(item.path for item in files[:3])
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    why = f" ({problems[0].message})" if problems else ""
    return f"note: {names}{more} from the image, with the digest in the lock{why}"
