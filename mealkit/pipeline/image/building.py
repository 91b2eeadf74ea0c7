"""Builds an image: lock, plan, assemble, store; then load, write or push it if requested."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mealkit.assembly.assemble import Assembly, BuiltLayer, assemble, kept_layers
from mealkit.assembly.shipped import shipped_library
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex, index_of
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_inputs import fetch_inputs
from mealkit.pipeline.image.layer_store import LocalLayerStore
from mealkit.pipeline.image.naming_builds import Taken, keep_under, require_same_lock
from mealkit.pipeline.image.outputs import Outputs, Places, deliver
from mealkit.pipeline.image.vouching import require_vouched_base
from mealkit.pipeline.kit.bases import base_image, base_repositories, dockerfile_reference
from mealkit.pipeline.kit.locking import fresh_lock
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.kit.placeholder_checks import require_no_placeholder
from mealkit.pipeline.opening_images import this_platform
from mealkit.plan.layers import Plan
from mealkit.plan.planning import compiler_for, index_annotations, plan_image, without_kit
from mealkit.progress import Progress
from mealkit.recipe.kit import ImageBase
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import architectures_of, plain_lock, plain_locks
from mealkit.sources.file_cache import FileCache
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer, as a row of a table."""

    kind: str
    title: str
    digest: Digest
    size_bytes: int
    reused: bool


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that was built: its digests with and without weights, and its layers."""

    architecture: str
    digest: Digest
    lean_digest: Digest
    layers: tuple[LayerRow, ...]
    """Lowest first."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of a build: an image for each architecture, and an index if there are several."""

    name: str
    digest: Digest
    """The digest of the image or of the index."""
    recipe: Digest
    salt: Digest
    images: tuple[BuiltImage, ...]
    delivered: tuple[str, ...]


def build_kit(  # noqa: PLR0913  as many as the verb has options
    path: str | Path,
    *,
    frozen: bool,
    outputs: Outputs,
    home: Home,
    progress: Progress,
    allowed: Sequence[Path] = (),
    taken: Taken = Taken.REFUSED,
) -> BuildReport:
    """Build a kit's image, or its images and their index, into the local store.

    The result is also delivered to ``outputs``.

    Raises:
        MealkitError: the first step that fails, of kit, lock, sources, build, store or registry.
    """
    places = outputs.places()
    kit = open_kit(path, home, allowed, progress)
    return build_opened(
        kit, frozen=frozen, places=places, home=home, progress=progress, taken=taken
    )


def build_opened(
    kit: OpenedKit,
    *,
    frozen: bool,
    places: Places,
    home: Home,
    progress: Progress,
    taken: Taken = Taken.REFUSED,
) -> BuildReport:
    """Build the image of an opened kit; otherwise like ``build_kit``."""
    if places.push:
        require_no_placeholder(kit)
    for warning in kit.warnings:
        progress.notice(warning)
    lock = fresh_lock(kit, frozen=frozen, home=home, progress=progress)
    for plain in plain_locks(lock):
        require_vouched_base(kit.parts.kit, plain, home, progress)
    store = LocalStore(home.store)
    name = image_name(lock)
    if taken is Taken.REFUSED:
        require_same_lock(store, name, lock)
    digest, images = _built(kit, lock, store, home, progress, taken)
    sources = base_repositories(kit.parts.kit.runtime.base)
    # Read from the store: the connection to a base image's registry is closed by now.
    delivered = deliver(
        store.content(str(digest)),
        name,
        places,
        sources,
        progress,
        attached=Attached(store),
        replaces=taken is Taken.REPLACED,
        uploads=home.uploads,
    )
    return BuildReport(name, digest, lock.recipe, lock.salt, images, delivered)


def render_kit(  # noqa: PLR0913  as many as the verb has options
    path: str | Path,
    target: Path,
    *,
    frozen: bool,
    home: Home,
    progress: Progress,
    allowed: Sequence[Path] = (),
    architecture: str | None = None,
) -> Path:
    """Write a context and a Dockerfile that plain ``docker build`` turns into the same files.

    If the kit has several architectures, ``architecture`` chooses one. By default it is this
    machine's if the kit has it, else the kit's first.

    Raises:
        MealkitError: the kit, its lock, a source or the target is not valid.
    """
    from mealkit.assembly.render import render
    from mealkit.containers.interpreter import compile_modules

    kit = open_kit(path, home, allowed, progress)
    whole = fresh_lock(kit, frozen=frozen, home=home, progress=progress)
    lock = plain_lock(whole, architecture or this_platform().architecture)
    if architecture not in {None, lock.runtime.architecture}:
        raise failure(
            "USAGE",
            f"{image_name(lock)} is not for {architecture}",
            hint=f"--architecture {' or '.join(architectures_of(whole))}",
        )
    require_vouched_base(kit.parts.kit, lock, home, progress)
    compiler = compiler_for(lock, whole, this_platform().architecture)
    if compiler is not lock:
        require_vouched_base(kit.parts.kit, compiler, home, progress)
    plan = _plan(lock, compiler)
    inputs = fetch_inputs(kit, lock, plan.layers, home, progress, compiler)
    base = kit.parts.kit.runtime.base
    reference = (
        dockerfile_reference(base, plan.base.digest)
        if plan.base and isinstance(base, ImageBase)
        else None
    )
    progress.phase(f"writing {target}, for {plan.architecture}")
    render(plan, lock, inputs, compile_modules, target, reference)
    return target


def build_changed(kit: OpenedKit, lock: Lock, home: Home, progress: Progress) -> Image:
    """Build an opened kit with another plain lock into the local store, without a name.

    Only the layers that differ from those of the kit's own image are new.

    Raises:
        SourceError, BuildError, StoreError: an input is missing, or the image cannot be written.
    """
    require_vouched_base(kit.parts.kit, lock, home, progress)
    store = LocalStore(home.store)
    with store.use(), ExitStack() as bases:
        assembly = _assembled(kit, lock, lock, store, bases, home, progress)
        store.put(assembly.image, [])
        return store.image(str(assembly.image.digest))


def build_for_editing(kit: OpenedKit, lock: Lock, home: Home, progress: Progress) -> Image:
    """Build the image of a plain lock without the kit's own layer, and without a name.

    Only a change of packages, base, weights or data makes another one.

    Raises:
        SourceError, BuildError, StoreError: as ``build_changed``.
    """
    require_vouched_base(kit.parts.kit, lock, home, progress)
    store = LocalStore(home.store)
    with store.use(), ExitStack() as bases:
        plan = without_kit(_plan(lock, lock))
        assembly = _assembled(kit, lock, lock, store, bases, home, progress, plan)
        store.put(assembly.image, [])
        return store.image(str(assembly.image.digest))


def image_name(lock: Lock) -> str:
    """Return the name of a kit's image in the local store."""
    return f"{lock.about.name}:{lock.about.version}"


def _plan(lock: Lock, compiler: Lock) -> Plan:
    return plan_image(lock, shipped_library(lock.engine.name), _created_seconds(), compiler)


def _built(
    kit: OpenedKit, lock: Lock, store: LocalStore, home: Home, progress: Progress, taken: Taken
) -> tuple[Digest, tuple[BuiltImage, ...]]:
    """Build and store the image of every architecture, and the index if there are several."""
    name = image_name(lock)
    locks = plain_locks(lock)
    if len(locks) > 1 and not lock.runtime.bytecode:
        progress.phase("note: images for several architectures are built without bytecode")
    machine = this_platform().architecture
    with store.use(), ExitStack() as bases:
        assemblies = [
            _assembled(kit, plain, compiler_for(plain, lock, machine), store, bases, home, progress)
            for plain in locks
        ]
        content: Image | ImageIndex = assemblies[0].image
        if len(locks) > 1:
            content = index_of([item.image for item in assemblies], index_annotations(lock))
        keep_under(content, name, store, taken, progress)
    return content.digest, tuple(_built_image(item) for item in assemblies)


def _assembled(  # noqa: PLR0913, PLR0917  the kit, its lock, and what the steps work with
    kit: OpenedKit,
    lock: Lock,
    compiler: Lock,
    store: LocalStore,
    bases: ExitStack,
    home: Home,
    progress: Progress,
    plan: Plan | None = None,
) -> Assembly:
    """Assemble the image of a plain lock; its base stays open as long as ``bases``."""
    plan = plan or _plan(lock, compiler)
    base = bases.enter_context(_base(kit, plan))
    if base is not None:
        from mealkit.pipeline.image.fetching_layers import Fetching

        with Fetching(store, FileCache(home.files), progress) as fetching:
            fetching.fetch_layers(base.layers, "pulling the base")
    layers = LocalLayerStore(store)
    kept = kept_layers(plan, layers)
    missing = tuple(layer for layer in plan.layers if layer not in kept)
    inputs = fetch_inputs(kit, lock, missing, home, progress, compiler) if missing else {}
    return assemble(plan, kept, inputs, layers, base, progress)


def _built_image(assembly: Assembly) -> BuiltImage:
    return BuiltImage(
        assembly.image.platform.architecture,
        assembly.image.digest,
        assembly.lean.digest,
        tuple(_row(layer) for layer in assembly.layers),
    )


@contextmanager
def _base(kit: OpenedKit, plan: Plan) -> Iterator[Image | None]:
    base = kit.parts.kit.runtime.base
    if plan.base is None or not isinstance(base, ImageBase):
        yield None
        return
    with base_image(base, kit.folder, kit.bounds, plan.architecture) as image:
        if image.digest != plan.base.digest:
            raise failure(
                "SOURCE_DIGEST",
                f"expected {plan.base.digest}, found {image.digest}",
                where=base.reference,
                hint="to accept the change: mealkit lock --upgrade base",
            )
        yield image


def _row(built: BuiltLayer) -> LayerRow:
    layer = built.layer
    return LayerRow(
        kind=built.plan.kind.value if built.plan else "base",
        title=built.plan.title if built.plan else layer.created_by,
        digest=layer.blob.digest,
        size_bytes=layer.blob.size_bytes,
        reused=built.reused,
    )


def _created_seconds() -> int:
    """Return SOURCE_DATE_EPOCH, or 0: https://reproducible-builds.org/specs/source-date-epoch/."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not (text.isascii() and text.isdigit()):
        raise failure(
            "USAGE", f"SOURCE_DATE_EPOCH is {text!r}, not whole seconds since 1970", hint="unset it"
        )
    return int(text)
