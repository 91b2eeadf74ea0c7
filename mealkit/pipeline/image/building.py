"""Building: lock, plan, assemble, keep; then load, write or push where it was asked for."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mealkit.assembly.assemble import Assembly, BuiltLayer, assemble, missing_layers, own_weight
from mealkit.assembly.shipped import shipped_library
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_inputs import fetch_inputs
from mealkit.pipeline.image.layer_builder import StoreWorkshop
from mealkit.pipeline.image.outputs import Outputs, Places, deliver
from mealkit.pipeline.image.vouching import require_vouched_base
from mealkit.pipeline.kit.bases import base_image, base_repositories, dockerfile_reference
from mealkit.pipeline.kit.locking import fresh_lock
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.plan.layers import Plan
from mealkit.plan.planning import plan_image
from mealkit.progress import Progress
from mealkit.recipe.kit import ImageBase
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer as a table shows it."""

    kind: str
    title: str
    digest: Digest
    size_bytes: int
    reused: bool


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made: the image's name and digests, and its layers, lowest first."""

    name: str
    digest: Digest
    lean_digest: Digest
    recipe: Digest
    layers: tuple[LayerRow, ...]
    delivered: tuple[str, ...]


def build_kit(
    path: str | Path,
    *,
    frozen: bool,
    outputs: Outputs,
    home: Home,
    progress: Progress,
    allowed: Sequence[Path] = (),
) -> BuildReport:
    """Build a kit's image into the local store, and deliver it where ``outputs`` says.

    Raises:
        MealkitError: the first of kit, lock, sources, build, store or registry that refuses.
    """
    places = outputs.places()
    kit = open_kit(path, allowed)
    return build_opened(kit, frozen=frozen, places=places, home=home, progress=progress)


def build_opened(
    kit: OpenedKit, *, frozen: bool, places: Places, home: Home, progress: Progress
) -> BuildReport:
    """Build the image of a kit that is open already; otherwise like ``build_kit``."""
    for warning in kit.warnings:
        progress.notice(warning)
    lock = fresh_lock(kit, frozen=frozen, home=home, progress=progress)
    require_vouched_base(kit.parts.kit, lock, home, progress)
    store = LocalStore(home.store)
    assembly = _assembled(kit, lock, store, home, progress)
    name = image_name(lock)
    # From the store: a base image's registry is closed by now.
    image = store.image(str(assembly.image.digest))
    sources = base_repositories(kit.parts.kit.runtime.base)
    delivered = deliver(image, name, places, sources, progress)
    return BuildReport(
        name=name,
        digest=assembly.image.digest,
        lean_digest=assembly.lean.digest,
        recipe=lock.recipe,
        layers=tuple(_row(layer) for layer in assembly.layers),
        delivered=delivered,
    )


def render_kit(
    path: str | Path,
    target: Path,
    *,
    frozen: bool,
    home: Home,
    progress: Progress,
    allowed: Sequence[Path] = (),
) -> Path:
    """Write a context and a Dockerfile that plain ``docker build`` turns into the same files.

    Raises:
        MealkitError: the kit, its lock, a source or the target refuses.
    """
    from mealkit.assembly.render import render
    from mealkit.containers.interpreter import compile_modules

    kit = open_kit(path, allowed)
    lock = fresh_lock(kit, frozen=frozen, home=home, progress=progress)
    require_vouched_base(kit.parts.kit, lock, home, progress)
    plan = _plan(lock)
    inputs = fetch_inputs(kit, lock, plan.layers, home, progress)
    base = kit.parts.kit.runtime.base
    reference = (
        dockerfile_reference(base, plan.base.digest)
        if plan.base and isinstance(base, ImageBase)
        else None
    )
    progress.phase(f"writing {target}")
    render(plan, lock, inputs, compile_modules, target, reference)
    return target


def image_name(lock: Lock) -> str:
    """Return the name that a kit's image gets in the local store."""
    return f"{lock.about.name}:{lock.about.version}"


def _plan(lock: Lock) -> Plan:
    return plan_image(lock, shipped_library(lock.engine.name), _created_seconds())


def _assembled(
    kit: OpenedKit, lock: Lock, store: LocalStore, home: Home, progress: Progress
) -> Assembly:
    plan = _plan(lock)
    with store.use(), _base(kit, plan) as base:
        workshop = StoreWorkshop(store)
        missing = missing_layers(plan, workshop)
        inputs = fetch_inputs(kit, lock, missing, home, progress) if missing else {}
        weights = [file for layer in missing if (file := own_weight(layer))]
        task = progress.task("assembling", sum(file.size_bytes for file in weights) or None)
        assembly = assemble(plan, inputs, workshop, base, task.advance)
        task.done()
        name = image_name(lock)
        before = store.index().named(name)
        store.put(assembly.image, [name])
        if before is not None and before.digest != assembly.image.digest:
            progress.phase(f"note: {name} was the name of {before.digest}, which stays without it")
    return assembly


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
                hint="mealkit lock --upgrade base, if the change is wanted",
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
