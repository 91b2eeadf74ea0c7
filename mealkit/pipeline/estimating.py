"""Estimating: what a kit, an image, a model on the Hub or files would take of a GPU's memory.

Of remote models only headers are read, by ranges; of kits and images only the lock.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from mealkit.errors import MealkitError, failure
from mealkit.lock.model import Lock
from mealkit.pipeline.home import Home
from mealkit.preflight.cards import CARDS, card_of
from mealkit.preflight.estimate.describe import shape_of_config, shape_of_gguf, shape_of_lock
from mealkit.preflight.estimate.estimate import estimate, usable_bytes
from mealkit.preflight.estimate.fit import (
    CardFit,
    Fit,
    Reach,
    fits,
    largest_concurrency,
    largest_context,
    verdict,
)
from mealkit.preflight.estimate.setting import Engine, KvDtype, Setting
from mealkit.preflight.estimate.shape import Shape
from mealkit.preflight.estimate.terms import Estimate
from mealkit.sources.ranges import FileRanges, RangeReader

_HUB = "hub:"
_KIT = "kit.yaml"
# What is assumed of the context where neither the kit nor the caller says, as far as models go.
_CONTEXT_TOKENS = 8192
_MAX_CONFIG_BYTES = 16 * 1024 * 1024
# Names of the context among hyperparameters and settings of engines.
_CONTEXT_NAMES = ("max_model_len", "context", "n_ctx", "max_length")


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """What is asked for; None: as the kit says, else as the engine does by itself."""

    target: str
    engine: Engine | None = None
    context_tokens: int | None = None
    concurrency: int | None = None
    kv_dtype: KvDtype = "f16"
    tensor_parallel: int = 1
    gpu: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """The memory of one GPU, and how far context and concurrency may go in it."""

    name: str | None
    memory_bytes: int
    usable_bytes: int
    fit: Fit
    context: Reach
    concurrency: Reach


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """A model's estimate, and what it means on one GPU (if one was named) and on known ones."""

    name: str
    shape: Shape
    setting: Setting
    found: Estimate
    room: Room | None
    cards: tuple[CardFit, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        setting, room = self.setting, self.room
        return {
            "model": self.name,
            "engine": setting.engine,
            "context_tokens": setting.context_tokens,
            "concurrency": setting.concurrency,
            "kv_dtype": setting.kv_dtype,
            "gpus": setting.devices,
            "assumed": list(self.shape.unknown),
            "estimate": self.found.as_json(),
            "gpu": room
            and {
                "name": room.name,
                "memory_bytes": room.memory_bytes,
                "usable_bytes": room.usable_bytes,
                "verdict": room.fit.value,
                "largest_context": room.context.as_json(),
                "largest_concurrency": room.concurrency.as_json(),
            },
            "gpus_known": [
                {
                    "name": item.card.name,
                    "usable_bytes": item.usable_bytes,
                    "verdict": item.fit.value,
                }
                for item in self.cards
            ],
        }


@dataclass(frozen=True, slots=True)
class _Model:
    """A model that was found: its shape, and what its kit pins."""

    name: str
    shape: Shape
    engine: Engine
    context_tokens: int | None = None
    concurrency: int = 1


def estimate_target(request: EstimateRequest, home: Home) -> EstimateReport:
    """Estimate a kit, an image, ``hub:OWNER/REPO[/FILE][@REVISION]``, a file or a folder.

    Raises:
        PreflightError: too little is known of the model, or no such GPU (``ESTIMATE_UNKNOWN``).
        MealkitError: the target cannot be read.
    """
    card = card_of(request.gpu) if request.gpu else None
    model = _find(request.target, home)
    setting = _setting(request, model)
    found = estimate(model.shape, setting)
    memory = card.memory_bytes if card else request.memory_bytes
    if card:
        setting = replace(setting, compute_capability=card.compute_capability)
        found = estimate(model.shape, setting)
    room = None
    if memory is not None:
        usable = usable_bytes(memory, setting)
        room = Room(
            name=card.name if card else None,
            memory_bytes=memory,
            usable_bytes=usable,
            fit=verdict(found, usable),
            context=largest_context(model.shape, setting, memory),
            concurrency=largest_concurrency(model.shape, setting, memory),
        )
    # onnxruntime is first of all for processors: GPUs are only spoken of when one is named.
    wanted = CARDS if setting.engine != "onnx" or card else ()
    cards = tuple(fits(model.shape, setting, wanted))
    return EstimateReport(model.name, model.shape, setting, found, room, cards)


def _setting(request: EstimateRequest, model: _Model) -> Setting:
    engine = request.engine or model.engine
    longest = model.shape.max_positions or _CONTEXT_TOKENS
    pinned = model.context_tokens or min(longest, _CONTEXT_TOKENS)
    spread = request.tensor_parallel
    return Setting(
        engine=engine,
        context_tokens=request.context_tokens or pinned,
        concurrency=request.concurrency or model.concurrency,
        kv_dtype=request.kv_dtype,
        tensor_parallel=spread if engine == "vllm" else 1,
        layer_split=spread if engine != "vllm" else 1,
    )


def _find(target: str, home: Home) -> _Model:
    if target.startswith(_HUB):
        return _on_the_hub(target, home)
    path = Path(target).expanduser()
    if (path / _KIT).is_file() or path.name == _KIT:
        from mealkit.pipeline.parts import open_kit

        kit = open_kit(path)
        if kit.lock is None:
            raise failure("LOCK_MISSING", "there is no lock", where=str(kit.lock_path))
        return _locked(kit.lock)
    if path.is_dir() and not (path / "oci-layout").is_file():
        files = {item.name: item for item in sorted(path.iterdir()) if item.is_file()}
        return _read(target, {name: FileRanges(file) for name, file in files.items()})
    if path.suffix in (".safetensors", ".gguf") and path.is_file():
        beside = {path.name: path, "config.json": path.with_name("config.json")}
        files = {name: file for name, file in beside.items() if file.is_file()}
        return _read(target, {name: FileRanges(file) for name, file in files.items()})
    from mealkit.pipeline.image_lock import lock_of
    from mealkit.pipeline.images import find_image

    return _locked(lock_of(find_image(target, home)))


def _locked(lock: Lock) -> _Model:
    engine: Engine = "transformers"
    for known in get_args(Engine):
        engine = known if known == lock.engine.name else engine
    stated = {**lock.hyperparameters, **lock.engine.settings}
    numbers = [stated[name] for name in _CONTEXT_NAMES if type(stated.get(name)) is int]
    context = numbers[0] if numbers and isinstance(numbers[0], int) else None
    name = f"{lock.about.name} {lock.about.version}"
    shape = shape_of_lock(lock.model.shape)
    return _Model(name, shape, engine, context, lock.serving.max_concurrency)


def _on_the_hub(target: str, home: Home) -> _Model:
    from mealkit.kit.model import HubPlace
    from mealkit.sources.cache import FileCache
    from mealkit.sources.client import open_client
    from mealkit.sources.download import Downloader, ignore_progress
    from mealkit.sources.hub import HubReader
    from mealkit.sources.place import PinnedFile, Supplies

    repo, file, revision = _hub_name(target)
    patterns = [[file]] if file else [["model*.safetensors"], ["*.safetensors"], ["*.gguf"]]
    with open_client() as client:
        supplies = Supplies(Downloader(FileCache(home.files), client))
        place = HubPlace(source="hub", repo=repo, revision=revision)
        with closing(HubReader(place, supplies)) as reader:

            def pinned(names: Sequence[str]) -> list[PinnedFile]:
                try:
                    return reader.pin(names, {}, ignore_progress)
                except MealkitError as error:
                    if error.problems[0].code != "SOURCE_NOT_FOUND" or names == patterns[-1]:
                        raise
                    return []

            files = next(filter(None, map(pinned, patterns)))
            files = [*files, *pinned(["config.json"])]
            return _read(f"{repo}@{revision}", {item.name: item.ranges for item in files})


def _hub_name(target: str) -> tuple[str, str | None, str]:
    name, _, revision = target.removeprefix(_HUB).partition("@")
    owner, _, rest = name.partition("/")
    repo, _, file = rest.partition("/")
    if not owner or not repo:
        raise failure("USAGE", f"{target!r} is not hub:OWNER/REPO[/FILE][@REVISION]")
    return f"{owner}/{repo}", file or None, revision or "main"


def _read(name: str, files: Mapping[str, RangeReader]) -> _Model:
    """Read the headers of a model's files."""
    tensors = [item for item in sorted(files) if item.endswith(".safetensors")]
    # Some publishers put the whole model there twice, under names of their own.
    tensors = [item for item in tensors if item.startswith("model")] or tensors
    graphs = [item for item in sorted(files) if item.endswith(".gguf")]
    if tensors and "config.json" in files:
        return _from_safetensors(name, {item: files[item] for item in tensors}, files)
    if graphs:
        return _from_gguf(name, {item: files[item] for item in graphs})
    raise failure(
        "ESTIMATE_UNKNOWN",
        f"there are no GGUF files, and no safetensors with a config.json: {', '.join(files)}",
        where=name,
    )


def _from_safetensors(
    name: str, weights: Mapping[str, RangeReader], files: Mapping[str, RangeReader]
) -> _Model:
    from mealkit.sources.safetensors import read_safetensors

    tensors: dict[str, tuple[str, int]] = {}
    for file, ranges in weights.items():
        kept = _Kept(ranges)
        read_safetensors(file, kept)
        tensors |= _tensors(kept)
    try:
        config = json.loads(files["config.json"].read(0, _MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise failure("WEIGHTS_DAMAGED", "config.json is not JSON", where=name) from error
    if not isinstance(config, dict):
        raise failure("WEIGHTS_DAMAGED", "config.json is not a map", where=name)
    shape = shape_of_config(config, tensors)
    return _Model(name, shape, "vllm" if shape.generates else "transformers")


def _from_gguf(name: str, graphs: Mapping[str, RangeReader]) -> _Model:
    from mealkit.sources.gguf import read_gguf

    parts = [item for item in graphs if "-of-" in item]
    if len(graphs) > 1 and len(parts) != len(graphs):
        raise failure(
            "ESTIMATE_UNKNOWN",
            f"there are several models: {', '.join(graphs)}",
            where=name,
            hint="name one of them: hub:OWNER/REPO/FILE, or its path",
        )
    headers = [read_gguf(item, ranges) for item, ranges in graphs.items()]
    totals: dict[str, int] = {}
    for header in headers:
        for dtype, size_bytes in header.bytes_by_dtype.items():
            totals[dtype] = totals.get(dtype, 0) + size_bytes
    parameters = sum(header.parameters for header in headers)
    return _Model(name, shape_of_gguf(headers[0].metadata, totals, parameters), "llama-cpp")


def _tensors(ranges: RangeReader) -> dict[str, tuple[str, int]]:
    """Return dtype and bytes of every tensor of a header that was found sound."""
    length = int.from_bytes(ranges.read(0, 8), "little")
    header = json.loads(ranges.read(8, length))
    header.pop("__metadata__", None)
    found: dict[str, tuple[str, int]] = {}
    for name, tensor in header.items():
        start, stop = tensor["data_offsets"]
        found[name] = (tensor["dtype"], stop - start)
    return found


class _Kept:
    """Pieces of a file, each asked for once."""

    def __init__(self, ranges: RangeReader) -> None:
        self._ranges = ranges
        self._pieces: dict[tuple[int, int], bytes] = {}

    @property
    def size_bytes(self) -> int:
        return self._ranges.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        place = (offset, length)
        if place not in self._pieces:
            self._pieces[place] = self._ranges.read(offset, length)
        return self._pieces[place]
