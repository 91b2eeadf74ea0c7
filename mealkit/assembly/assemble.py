"""Assembles an image from a plan, without a daemon.

Each layer is written once; weights are not copied. It gets the inputs and the store of
layers from the caller, and makes no network requests. The same plan gives the same image.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from mealkit.assembly.bytecode import Compile
from mealkit.assembly.contents import Inputs, Workshop, input_path, layer_entries
from mealkit.assembly.lean import LAYER_KIND, WEIGHT_BYTES, WEIGHT_DIGEST, WEIGHT_PATH, lean_image
from mealkit.assembly.wheel_pieces import PieceDamagedError, PieceStore, Renewed
from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import Blob, Image, Layer, image_of
from mealkit.oci.mutate import append
from mealkit.oci.tar import Bytes, TarFile, tar_chunks, weight_footer, weight_header
from mealkit.plan.layers import InputFile, LayerKind, LayerPlan, Plan
from mealkit.plan.planning import OWN_LAYER_BYTES
from mealkit.progress import SILENT, SILENT_TASK, Advance, Progress

# Increase it when the same layer plan gives other bytes; stored layers are then built again.
_FORMAT = "1"

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file that forms a layer together with the bytes around it."""

    path: Path
    expected: Digest
    head: bytes
    tail: bytes


class LayerStore(Protocol):
    """Stores layers, and creates the blobs of new ones."""

    def get(self, key: str) -> Layer | None:
        """Return the stored layer for a key, or None."""
        ...

    def put(self, key: str, layer: Layer) -> None:
        """Store a layer for a key."""
        ...

    def write(self, chunks: Iterable[Bytes], size_bytes: int, advance: Advance) -> Blob:
        """Write a blob of at least ``size_bytes``; ``advance`` is called with the bytes.

        Raises:
            StoreError: the disk has no space for it (``DISK_FULL``); nothing was written.
        """
        ...

    @property
    def compile_modules(self) -> Compile:
        """The function that compiles modules with an image's own Python."""
        ...

    @property
    def pieces(self) -> PieceStore:
        """The wheels that stored layers have unpacked and compiled."""
        ...

    def virtual(self, files: Sequence[WeightFile], advance: Advance) -> list[Blob]:
        """Verify files, and return virtual blobs, which are never written.

        Raises:
            SourceError: a file's bytes are not the expected ones (``SOURCE_DIGEST``).
        """
        ...


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A layer of the new image: its plan (None for a base image's), and whether it is reused."""

    plan: LayerPlan | None
    layer: Layer
    reused: bool


@dataclass(frozen=True, slots=True)
class Assembly:
    """An assembled image, with and without the weights, and its layers."""

    image: Image
    lean: Image
    layers: tuple[BuiltLayer, ...]


def kept_layers(plan: Plan, store: LayerStore) -> dict[LayerPlan, Layer]:
    """Return the layers of a plan that the store has; the others' inputs are needed."""
    found = ((layer, store.get(_layer_key(plan, layer))) for layer in plan.layers)
    return {layer: kept for layer, kept in found if kept is not None}


def assemble(
    plan: Plan,
    kept: Mapping[LayerPlan, Layer],
    inputs: Inputs,
    store: LayerStore,
    base: Image | None,
    progress: Progress = SILENT,
) -> Assembly:
    """Assemble a plan's image; ``base`` is the base image, if the plan has one.

    ``kept`` are the layers that are reused.

    Raises:
        BuildError: an input is missing, or the base cannot be used (``BASE_INVALID``).
        SourceError: an input does not match its pinned digest.
    """
    _check_base(plan, base)
    # A stored layer with the same bytes may have another title.
    own = {layer: _described(layer, found) for layer, found in kept.items()}
    missing = [layer for layer in plan.layers if layer not in kept]
    for layer, blob in _blobs(plan, missing, inputs, store, progress):
        own[layer] = _described(layer, Layer(LAYER, blob, blob.digest, ""))
        # Stored immediately, so that a killed build does not create the layer again.
        store.put(_layer_key(plan, layer), own[layer])
    layers = tuple(own[layer] for layer in plan.layers)
    image = _image(plan, layers, base)
    built = tuple(BuiltLayer(layer, own[layer], reused=layer in kept) for layer in plan.layers)
    inherited = tuple(
        BuiltLayer(None, layer, reused=True) for layer in (base.layers if base else ())
    )
    return Assembly(image, lean_image(image), inherited + built)


def own_weight(layer: LayerPlan) -> InputFile | None:
    """Return the file in a layer, if the layer is one large weight file."""
    match layer.kind, layer.contents:
        case LayerKind.WEIGHTS, (InputFile() as file,) if file.size_bytes >= OWN_LAYER_BYTES:
            return file
        case _:
            return None


def _layer_key(plan: Plan, layer: LayerPlan) -> str:
    """Return the key of a layer: everything in the plan that affects its bytes."""
    contents = [[type(item).__name__, *_values(item)] for item in layer.contents]
    form = [_FORMAT, plan.created_seconds, contents]
    return Digest.of(canonical_json(form)).hex


def _values(content: Any) -> Iterator[Any]:
    for name in type(content).__slots__:
        value = getattr(content, name)
        yield str(Digest.of(value)) if isinstance(value, bytes) else value


def _blobs(
    plan: Plan,
    missing: Sequence[LayerPlan],
    inputs: Inputs,
    store: LayerStore,
    progress: Progress,
) -> Iterator[tuple[LayerPlan, Blob]]:
    """Create each layer's blob; first the layers of one weight file, which are read in parallel."""
    files = {
        layer: _weight_file(plan, file, inputs) for layer in missing if (file := own_weight(layer))
    }
    if files:
        size_bytes = sum(file.size_bytes for layer in files if (file := own_weight(layer)))
        task = progress.task("verifying weights", size_bytes)
        yield from zip(files, store.virtual(list(files.values()), task.advance), strict=True)
        task.done(f"{len(files)} files")
    for layer in missing:
        if layer not in files:
            yield layer, _blob(plan, layer, inputs, store, progress)


def _weight_file(plan: Plan, file: InputFile, inputs: Inputs) -> WeightFile:
    return WeightFile(
        path=input_path(inputs, file.digest, file.path),
        expected=file.digest,
        head=weight_header(file.path, file.size_bytes, file.mode, plan.created_seconds),
        tail=weight_footer(file.size_bytes),
    )


def _blob(
    plan: Plan, layer: LayerPlan, inputs: Inputs, store: LayerStore, progress: Progress
) -> Blob:
    try:
        return _written(plan, layer, inputs, store, store.pieces, progress)
    except PieceDamagedError:
        # The disk lost a byte. The wheels have all of them.
        return _written(plan, layer, inputs, store, Renewed(store.pieces), progress)


def _written(
    plan: Plan,
    layer: LayerPlan,
    inputs: Inputs,
    store: LayerStore,
    pieces: PieceStore,
    progress: Progress,
) -> Blob:
    with tempfile.TemporaryDirectory(prefix="mealkit-") as scratch:
        workshop = Workshop(Path(scratch), store.compile_modules, pieces, progress)
        made = layer_entries(layer, inputs, workshop, _FORMAT)
        size_bytes = sum(entry.size_bytes for entry in made.entries if isinstance(entry, TarFile))
        offsets: dict[str, int] = {}
        chunks = tar_chunks(made.entries, plan.created_seconds, offsets)
        shows = size_bytes >= OWN_LAYER_BYTES
        task = progress.task(f"writing {layer.title}", size_bytes) if shows else SILENT_TASK
        blob = store.write(chunks, size_bytes, task.advance)
        task.done()
    made.pieces.keep(blob.digest, offsets)
    return blob


def _described(plan: LayerPlan, layer: Layer) -> Layer:
    """State the purpose of a layer in the history and in the manifest."""
    annotations = {LAYER_KIND: plan.kind.value}
    file = own_weight(plan)
    if file is not None:
        annotations |= {
            WEIGHT_PATH: file.path,
            WEIGHT_DIGEST: str(file.digest),
            WEIGHT_BYTES: str(file.size_bytes),
        }
    title = f"mealkit: {plan.kind.value}: {plan.title}"
    return replace(layer, created_by=title, annotations=annotations)


def _check_base(plan: Plan, base: Image | None) -> None:
    if base is None:
        return
    if plan.base is None or base.digest != plan.base.digest:
        raise failure("BASE_INVALID", f"the base image is {base.digest}")
    platform = base.platform
    if (platform.os, platform.architecture) != ("linux", plan.architecture):
        raise failure(
            "BASE_INVALID",
            f"the base image is for {platform.os}/{platform.architecture}, "
            f"the kit for linux/{plan.architecture}",
            where="runtime.base",
        )


def _image(plan: Plan, layers: tuple[Layer, ...], base: Image | None) -> Image:
    if base is None:
        return image_of(_config(plan), layers, plan.annotations)
    return append(base, layers, _config(plan), plan.annotations)


def _config(plan: Plan) -> Mapping[str, Any]:
    run = plan.run
    return {
        "created": _created_text(plan.created_seconds),
        "architecture": plan.architecture,
        "os": "linux",
        "config": {
            "User": run.user,
            "ExposedPorts": {f"{run.exposed_port}/tcp": {}},
            "Env": [f"{name}={value}" for name, value in sorted(run.environment.items())],
            "Entrypoint": list(run.entrypoint),
            "WorkingDir": run.working_directory,
            "Labels": dict(run.labels),
            "StopSignal": run.stop_signal,
            "Healthcheck": {
                "Test": ["CMD", *run.health.command],
                "Interval": run.health.interval_seconds * _NANOSECONDS,
                "Timeout": run.health.timeout_seconds * _NANOSECONDS,
                "StartPeriod": run.health.start_seconds * _NANOSECONDS,
                "Retries": run.health.retries,
            },
        },
    }


def _created_text(seconds: int) -> str:
    """Write a time in seconds since 1970 as RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
