"""Builds an image again from the lock inside it, and compares every digest.

Needs nothing from the author: the lock has the digest of every input, and inputs with these digests
may come from anywhere. If an input of a layer is not available, the layer of the image takes its
place, so that everything else can be compared; such a layer is reported as not proven.
"""

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mealkit import __version__
from mealkit.assembly.assemble import Assembly, assemble, own_weight
from mealkit.assembly.shipped import shipped_library
from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.lock.compare import compare
from mealkit.oci.image import Image, Layer
from mealkit.oci.index import index_of
from mealkit.oci.layer_difference import first_difference
from mealkit.pipeline.audit.rebuild_inputs import (
    RebuildInputs,
    Unavailable,
    base_of,
    fetch_for_layer,
)
from mealkit.pipeline.home import REBUILDS, Home
from mealkit.pipeline.image.kit_image import KitImage, open_kit_image
from mealkit.pipeline.image.layer_store import LocalLayerStore
from mealkit.pipeline.opening_images import this_platform
from mealkit.plan.layers import LayerPlan, Plan
from mealkit.plan.planning import compiler_for, index_annotations, plan_image
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import plain_locks
from mealkit.stores.local import LocalStore
from mealkit.untrusted import UntrustedError, parse_json_object, shown


class Proof(StrEnum):
    """How a layer was compared."""

    REBUILT = "rebuilt"
    """Made again from its inputs."""
    BASE = "base"
    """A layer of the base image, whose digest the lock pins."""
    TAKEN = "taken"
    """Taken from the image, because an input is not available: not proven."""


@dataclass(frozen=True, slots=True)
class ComparedLayer:
    """A layer that has the expected digest, and how that is known."""

    architecture: str
    title: str
    digest: Digest
    size_bytes: int
    proof: Proof


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """The result: which digests are equal, and what could not be proven."""

    digest: Digest
    recipe: Digest
    layers: tuple[ComparedLayer, ...]
    from_image: tuple[str, ...]
    """The files of weights that came from the image itself; their digests are in the lock."""
    without_weights: bool
    """Whether it is a lean image, whose weights are delivered otherwise."""
    problems: tuple[Problem, ...]
    """``REBUILD_DIFFERS``, or ``REBUILD_UNPROVEN`` for each layer that was taken; empty if every
    byte was made again."""


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """One image, built again."""

    image: Image
    assembly: Assembly
    is_lean: bool
    taken: tuple[tuple[LayerPlan, Unavailable], ...]
    from_image: tuple[str, ...]

    @property
    def result(self) -> Image:
        return self.assembly.image


def rebuild(
    target: str,
    home: Home,
    progress: Progress = SILENT,
    *,
    inputs: Sequence[Path] = (),
    base: str | None = None,
) -> RebuildReport:
    """Build an image or index again from its own lock, in a store of its own, and compare.

    ``inputs`` are folders with files that no source has any more, such as wheels; ``base`` is where
    the base image is now.

    Raises:
        TrustError: ``REBUILD_VERSION``: another mealkit built it.
        MealkitError: the image cannot be read, or the disk is full.
    """
    # In use, so that no prune deletes inputs, or the folder of the build.
    with LocalStore(home.store).use(), open_kit_image(target, home, progress) as kit:
        if kit.lock.mealkit_version != __version__:
            raise _other_version(kit.lock, target)
        with tempfile.TemporaryDirectory(dir=home.root, prefix=REBUILDS) as folder:
            store = LocalStore(Path(folder))
            found = RebuildInputs.of(home, progress, inputs, base, target)
            with store.use(), ExitStack() as bases:
                rebuilt = [
                    _rebuilt(image, plain, kit, store, found, bases)
                    for image, plain in zip(kit.images, plain_locks(kit.lock), strict=True)
                ]
                return _report(kit, rebuilt)


def _rebuilt(
    image: Image,
    lock: Lock,
    kit: KitImage,
    store: LocalStore,
    inputs: RebuildInputs,
    bases: ExitStack,
) -> _Rebuilt:
    inputs.progress.phase(f"building again for {lock.runtime.architecture}, from the lock inside")
    compiler = compiler_for(lock, kit.lock, this_platform().architecture)
    library = shipped_library(lock.engine.name)
    plan = plan_image(lock, library, image.created_seconds, compiler)
    base = bases.enter_context(base_of(plan, inputs))
    plan, is_lean = _as_lean_as(image, plan, base)
    own = _own_layers(image, plan, base)
    files: dict[Digest, Path] = {}
    taken: list[tuple[LayerPlan, Unavailable]] = []
    kept: dict[LayerPlan, Layer] = {}
    from_image: list[str] = []
    for layer, found in zip(plan.layers, own, strict=True):
        try:
            fetched, inside = fetch_for_layer(layer, found, lock, compiler, inputs)
            files |= fetched
            from_image += inside
        except Unavailable as error:
            taken.append((layer, error))
            kept[layer] = found
    assembly = assemble(plan, kept, files, LocalLayerStore(store), base, inputs.progress)
    return _Rebuilt(image, assembly, is_lean, tuple(taken), tuple(from_image))


def _as_lean_as(image: Image, plan: Plan, base: Image | None) -> tuple[Plan, bool]:
    """Return the plan without the large files of weights if the image does not have them either."""
    inherited = len(base.layers) if base else 0
    rest = tuple(layer for layer in plan.layers if own_weight(layer) is None)
    if len(rest) < len(plan.layers) and len(image.layers) == inherited + len(rest):
        return replace(plan, layers=rest), True
    return plan, False


def _own_layers(image: Image, plan: Plan, base: Image | None) -> tuple[Layer, ...]:
    """Return the image's layer for each layer of the plan.

    Raises:
        TrustError: ``REBUILD_DIFFERS``: it has another number of layers.
    """
    inherited = len(base.layers) if base else 0
    wanted = inherited + len(plan.layers)
    if len(image.layers) != wanted:
        message = f"the image has {len(image.layers)} layers, and its lock makes {wanted}"
        raise failure("REBUILD_DIFFERS", message, where=image.digest)
    return image.layers[inherited:]


def _report(kit: KitImage, rebuilt: Sequence[_Rebuilt]) -> RebuildReport:
    differing = next(filter(None, map(_difference, rebuilt)), None)
    if differing is None:
        differing = _index_difference(kit, rebuilt)
    unproven = tuple(_unproven(layer, error, one) for one in rebuilt for layer, error in one.taken)
    return RebuildReport(
        digest=kit.subject.digest,
        recipe=kit.lock.recipe,
        layers=tuple(row for one in rebuilt for row in _rows(one)),
        from_image=tuple(dict.fromkeys(name for one in rebuilt for name in one.from_image)),
        without_weights=any(one.is_lean for one in rebuilt),
        problems=(*((differing,) if differing else ()), *unproven),
    )


def _rows(one: _Rebuilt) -> list[ComparedLayer]:
    taken = {layer for layer, _ in one.taken}
    rows = []
    for built, found in zip(one.assembly.layers, one.image.layers, strict=True):
        if built.layer.diff_id != found.diff_id:
            continue
        proof = Proof.TAKEN if built.plan in taken else Proof.REBUILT
        rows.append(
            ComparedLayer(
                one.image.platform.architecture,
                built.plan.title if built.plan else built.layer.created_by or "base image",
                found.blob.digest,
                found.blob.size_bytes,
                proof if built.plan else Proof.BASE,
            )
        )
    return rows


def _difference(one: _Rebuilt) -> Problem | None:
    """Return the first difference of an image: in a layer, the config or the manifest."""
    for built, found in zip(one.assembly.layers, one.image.layers, strict=True):
        title = built.plan.title if built.plan else "base image"
        if built.layer.diff_id == found.diff_id:
            continue
        try:
            what = str(first_difference(built.layer, found))
        except UntrustedError as error:
            what = f"the layer in the image cannot be read: {error}"
        return problem(
            "REBUILD_DIFFERS",
            f"layer {title} differs from the one that the lock makes: {what}",
            where=found.blob.digest,
            measured=found.diff_id,
            required=built.layer.diff_id,
        )
    for name, ours, theirs in (
        ("config", one.result.raw_config, one.image.raw_config),
        ("manifest", one.result.raw_manifest, one.image.raw_manifest),
    ):
        if ours != theirs:
            return _document(f"the image's {name}", ours, theirs, one.image.digest)
    return None


def _index_difference(kit: KitImage, rebuilt: Sequence[_Rebuilt]) -> Problem | None:
    if len(rebuilt) == 1 and kit.subject.digest == kit.images[0].digest:
        return None
    ours = index_of([one.result for one in rebuilt], index_annotations(kit.lock)).raw_manifest
    theirs = kit.source.read(kit.subject)
    if ours == theirs:
        return None
    return _document("the index", ours, theirs, kit.subject.digest)


def _document(what: str, ours: bytes, theirs: bytes, digest: Digest) -> Problem:
    message = f"every layer is equal, but {what} differs: {_first_field(ours, theirs)}"
    return problem(
        "REBUILD_DIFFERS",
        message,
        where=digest,
        measured=Digest.of(theirs),
        required=Digest.of(ours),
    )


def _first_field(expected: bytes, found: bytes) -> str:
    """Return the first difference of two documents in words."""
    ours = json.loads(expected)
    try:
        theirs = parse_json_object(found)
    except UntrustedError as error:
        return f"it cannot be read: {error}"
    path, before, after = _innermost("", ours, theirs)
    if before == after:
        return "the same fields are written differently"
    return f"{path}: expected {_in_words(before)}, found {_in_words(after)}"


def _innermost(path: str, ours: Any, theirs: Any) -> tuple[str, Any, Any]:
    """Return the path of the first difference, also in lists, and both values."""
    change = next(iter(compare(ours, theirs, path)), None)
    if change is None:
        return path, ours, theirs
    before, after = change.before, change.after
    if not isinstance(before, list) or not isinstance(after, list):
        return change.path, before, after
    rows = enumerate(zip_longest(before, after))
    number, (one, other) = next((at, pair) for at, pair in rows if pair[0] != pair[1])
    return _innermost(f"{change.path}[{number}]", one, other)


def _in_words(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return shown(value)
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return shown(json.dumps(value))


def _unproven(layer: LayerPlan, error: Unavailable, one: _Rebuilt) -> Problem:
    causes = "; ".join(dict.fromkeys(item.message for item in error.problems[:3]))
    return problem(
        "REBUILD_UNPROVEN",
        f"layer {layer.title} was not built again, because an input is not available: {causes}",
        where=one.image.digest,
    )


def _other_version(lock: Lock, target: str) -> MealkitError:
    version = lock.mealkit_version
    return failure(
        "REBUILD_VERSION",
        f"the image contains mealkit {version}, and this is {__version__}",
        measured=__version__,
        required=version,
        hint=f"uvx mealkit@{version} verify {target} --rebuild",
    )
