"""A plan becomes an image, without a daemon: layers are written once, weights not at all.

Is handed its inputs and a workshop; fetches nothing. The same plan gives the same image.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from mealkit.assembly.bytecode import Compile
from mealkit.assembly.contents import Inputs, input_path, layer_entries
from mealkit.assembly.lean import LAYER_KIND, WEIGHT_BYTES, WEIGHT_DIGEST, WEIGHT_PATH, lean_image
from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import Blob, Image, Layer, image_of
from mealkit.oci.mutate import append
from mealkit.oci.tar import Bytes, TarFile, tar_chunks, weight_footer, weight_header
from mealkit.plan.layers import InputFile, LayerKind, LayerPlan, Plan
from mealkit.plan.planning import OWN_LAYER_BYTES
from mealkit.progress import Advance

# Changes whenever the same layer plan would give other bytes; kept layers are then made anew.
_FORMAT = "1"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file that makes a layer together with the bytes around it."""

    path: Path
    expected: Digest
    head: bytes
    tail: bytes


class Workshop(Protocol):
    """Where layers are made and kept."""

    def remembered(self, key: str) -> Layer | None:
        """Return the layer that was made for a key, if it is still there."""
        ...

    def remember(self, key: str, layer: Layer) -> None:
        """Keep a layer for a key."""
        ...

    def write(self, chunks: Iterable[Bytes], size_bytes: int) -> Blob:
        """Write a blob of at least ``size_bytes``.

        Raises:
            StoreError: there is no room for it (``DISK_FULL``); nothing was written.
        """
        ...

    @property
    def compile_modules(self) -> Compile:
        """What compiles modules by an image's own Python."""
        ...

    def virtual(self, files: Sequence[WeightFile], advance: Advance) -> list[Blob]:
        """Verify files and make blobs of them that are never written.

        Raises:
            SourceError: a file's bytes are not the expected ones (``SOURCE_DIGEST``).
        """
        ...


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A layer of the new image: its plan (None for a base image's), and whether it was made now."""

    plan: LayerPlan | None
    layer: Layer
    reused: bool


@dataclass(frozen=True, slots=True)
class Assembly:
    """An assembled image, with and without the weights, and what was made for it."""

    image: Image
    lean: Image
    layers: tuple[BuiltLayer, ...]


def missing_layers(plan: Plan, workshop: Workshop) -> tuple[LayerPlan, ...]:
    """Return the layers that the workshop does not have: only their inputs are needed."""
    return tuple(
        layer for layer in plan.layers if workshop.remembered(_layer_key(plan, layer)) is None
    )


def assemble(
    plan: Plan, inputs: Inputs, workshop: Workshop, base: Image | None, advance: Advance
) -> Assembly:
    """Assemble a plan's image; ``base`` is the base image, if the plan has one.

    ``advance`` counts the bytes of weights that are verified.

    Raises:
        BuildError: an input is missing, or the base cannot carry the kit (``BASE_INVALID``).
        SourceError: an input is not what was pinned.
    """
    _check_base(plan, base)
    made = _weight_layers(plan, inputs, workshop, advance)
    for layer in plan.layers:
        if layer not in made:
            made[layer] = _layer(plan, layer, inputs, workshop)
    built = tuple(made[layer] for layer in plan.layers)
    inherited = tuple(
        BuiltLayer(None, layer, reused=True) for layer in (base.layers if base else ())
    )
    image = _image(plan, built, base)
    return Assembly(image, lean_image(image), inherited + built)


def own_weight(layer: LayerPlan) -> InputFile | None:
    """Return the file that a layer consists of, if it is one large file of weights."""
    match layer.kind, layer.contents:
        case LayerKind.WEIGHTS, (InputFile() as file,) if file.size_bytes >= OWN_LAYER_BYTES:
            return file
        case _:
            return None


def _layer_key(plan: Plan, layer: LayerPlan) -> str:
    """Return what a layer is remembered by: everything in the plan that decides its bytes."""
    contents = [[type(item).__name__, *_values(item)] for item in layer.contents]
    form = [_FORMAT, plan.created_seconds, contents]
    return Digest.of(canonical_json(form)).hex


def _values(content: Any) -> Iterator[Any]:
    for name in type(content).__slots__:
        value = getattr(content, name)
        yield str(Digest.of(value)) if isinstance(value, bytes) else value


def _weight_layers(
    plan: Plan, inputs: Inputs, workshop: Workshop, advance: Advance
) -> dict[LayerPlan, BuiltLayer]:
    """Make the layers of one weight file each, all at once: their files are read in parallel."""
    done: dict[LayerPlan, BuiltLayer] = {}
    todo: list[tuple[LayerPlan, WeightFile]] = []
    for layer in plan.layers:
        file = own_weight(layer)
        if file is None:
            continue
        kept = _kept(plan, layer, workshop)
        if kept:
            advance(file.size_bytes)
            done[layer] = kept
        else:
            todo.append((layer, _weight_file(plan, file, inputs)))
    blobs = workshop.virtual([file for _, file in todo], advance)
    for (layer, _), blob in zip(todo, blobs, strict=True):
        done[layer] = _remembered(plan, layer, blob, workshop)
    return done


def _weight_file(plan: Plan, file: InputFile, inputs: Inputs) -> WeightFile:
    return WeightFile(
        path=input_path(inputs, file.digest, file.path),
        expected=file.digest,
        head=weight_header(file.path, file.size_bytes, file.mode, plan.created_seconds),
        tail=weight_footer(file.size_bytes),
    )


def _layer(plan: Plan, layer: LayerPlan, inputs: Inputs, workshop: Workshop) -> BuiltLayer:
    kept = _kept(plan, layer, workshop)
    if kept:
        return kept
    with tempfile.TemporaryDirectory(prefix="mealkit-") as scratch:
        entries = layer_entries(layer, inputs, Path(scratch), workshop.compile_modules)
        size_bytes = sum(entry.size_bytes for entry in entries if isinstance(entry, TarFile))
        blob = workshop.write(tar_chunks(entries, plan.created_seconds), size_bytes)
    return _remembered(plan, layer, blob, workshop)


def _remembered(plan: Plan, layer: LayerPlan, blob: Blob, workshop: Workshop) -> BuiltLayer:
    made = _described(layer, Layer(LAYER, blob, blob.digest, ""))
    workshop.remember(_layer_key(plan, layer), made)
    return BuiltLayer(layer, made, reused=False)


def _kept(plan: Plan, layer: LayerPlan, workshop: Workshop) -> BuiltLayer | None:
    found = workshop.remembered(_layer_key(plan, layer))
    # The same bytes may have been made for a layer with another title.
    return BuiltLayer(layer, _described(layer, found), reused=True) if found else None


def _described(plan: LayerPlan, layer: Layer) -> Layer:
    """Say in the history and in the manifest what a layer is for."""
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
        raise failure("BASE_INVALID", f"the base image handed over is {base.digest}")
    platform = base.platform
    if (platform.os, platform.architecture) != ("linux", plan.architecture):
        raise failure(
            "BASE_INVALID",
            f"the base image is for {platform.os}/{platform.architecture}, "
            f"the kit for linux/{plan.architecture}",
            where="runtime.base",
        )


def _image(plan: Plan, built: tuple[BuiltLayer, ...], base: Image | None) -> Image:
    layers = tuple(item.layer for item in built)
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
        },
    }


def _created_text(seconds: int) -> str:
    """Write a time in seconds since 1970 as RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
