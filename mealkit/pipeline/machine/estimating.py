"""Estimates the GPU memory of a kit, an image, a model on the Hub or model files.

For remote models it reads only headers, by ranges; for kits and images only the lock.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mealkit.engines.registry import engine_names, traits_of
from mealkit.errors import failure
from mealkit.memory.setting import EngineMemory, KvDtype, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate, Term
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.model_shapes import FoundModel, find_model
from mealkit.preflight.cards import CARDS, card_of
from mealkit.preflight.fit import (
    CardFit,
    Fit,
    Reach,
    fits,
    largest_concurrency,
    largest_context,
    verdict,
)
from mealkit.progress import SILENT, Progress

# The context if neither the kit nor the caller sets one and the model allows it.
_CONTEXT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """The options; None means the kit's value, else the engine's default."""

    target: str
    engine: str | None = None
    context_tokens: int | None = None
    concurrency: int | None = None
    kv_dtype: KvDtype | None = None
    tensor_parallel: int | None = None
    gpu: str | None = None
    memory_bytes: int | None = None
    allowed: tuple[Path, ...] = ()
    """Folders that may contain the kit's files, besides its own folder."""


@dataclass(frozen=True, slots=True)
class Room:
    """The memory of one GPU or of the machine, and the largest context and concurrency that fit.

    ``context`` and ``concurrency`` are None if they depend on a reserved cache instead.
    """

    name: str | None
    memory_bytes: int
    usable_bytes: int
    fit: Fit
    context: Reach | None
    concurrency: Reach | None


@dataclass(frozen=True, slots=True)
class ReservedCache:
    """The cache of fixed size that an engine on processors reserves, and what fits into it."""

    space_bytes: int
    needed: Term
    """The cache that all requests need."""
    fit: Fit
    context: Reach
    """The longest context for one request."""
    concurrency: Reach

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "space_bytes": self.space_bytes,
            "needed": self.needed.as_json(),
            "verdict": self.fit.value,
            "largest_context": self.context.as_json(),
            "largest_concurrency": self.concurrency.as_json(),
        }


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """A model's estimate, and whether it fits on the named GPU (if any) and on known GPUs."""

    name: str
    shape: Shape
    setting: Setting
    found: Estimate
    room: Room | None
    cards: tuple[CardFit, ...]
    reserved: ReservedCache | None = None
    """None: the engine uses a GPU, or its cache grows."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        setting, room = self.setting, self.room
        return {
            "model": self.name,
            "engine": setting.engine.name,
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
                "largest_context": room.context and room.context.as_json(),
                "largest_concurrency": room.concurrency and room.concurrency.as_json(),
            },
            "reserved_cache": self.reserved and self.reserved.as_json(),
            "gpus_known": [
                {
                    "name": item.card.name,
                    "usable_bytes": item.usable_bytes,
                    "verdict": item.fit.value,
                }
                for item in self.cards
            ],
        }


def estimate_target(
    request: EstimateRequest, home: Home, progress: Progress = SILENT
) -> EstimateReport:
    """Estimate a kit, an image, ``hub:OWNER/REPO[/FILE][@REVISION]``, a file or a folder.

    Raises:
        PreflightError: too little is known about the model, or the GPU is not known
            (``ESTIMATE_UNKNOWN``).
        MealkitError: the target cannot be read.
    """
    card = card_of(request.gpu) if request.gpu else None
    model = find_model(request.target, home, request.allowed, progress)
    engine = _memory_of(request, model)
    setting = _setting(request, model, engine)
    found = engine.estimate(model.shape, setting)
    memory = card.memory_bytes if card else request.memory_bytes
    if card:
        setting = replace(setting, compute_capability=card.compute_capability)
        found = engine.estimate(model.shape, setting)
    room, reserved = None, _reserved(model.shape, setting)
    if memory is not None:
        usable = engine.usable_bytes(memory, setting)
        room = Room(
            name=card.name if card else None,
            memory_bytes=memory,
            usable_bytes=usable,
            fit=verdict(found, usable),
            context=None if reserved else largest_context(model.shape, setting, memory),
            concurrency=None if reserved else largest_concurrency(model.shape, setting, memory),
        )
    wanted = CARDS if card or not (engine.on_processors or reserved) else ()
    cards = tuple(fits(model.shape, setting, wanted))
    return EstimateReport(model.name, model.shape, setting, found, room, cards, reserved)


def _reserved(shape: Shape, setting: Setting) -> ReservedCache | None:
    space, needed_by = setting.cache_space_bytes, setting.engine.needed_cache
    if space is None or needed_by is None:
        return None
    needed = needed_by(shape, setting)
    return ReservedCache(
        space_bytes=space,
        needed=needed,
        fit=verdict(needed, space),
        context=largest_context(shape, replace(setting, concurrency=1), space),
        concurrency=largest_concurrency(shape, setting, space),
    )


def _memory_of(request: EstimateRequest, model: FoundModel) -> EngineMemory:
    engine = request.engine or model.engine
    memory = traits_of(engine).memory
    if memory is None:
        known = [name for name in engine_names() if traits_of(name).memory]
        message = f"the memory of the engine {engine!r} is not known"
        hint = f"name one of {', '.join(known)} with --engine"
        raise failure("USAGE" if request.engine else "ESTIMATE_UNKNOWN", message, hint=hint)
    return memory


def _setting(request: EstimateRequest, model: FoundModel, engine: EngineMemory) -> Setting:
    """Return the kit's setting with the caller's changes; another engine has its own defaults."""
    pinned = model.demand
    if pinned is not None and pinned.engine == engine.name:
        setting = pinned.setting(engine)
    else:
        longest = model.shape.max_positions or _CONTEXT_TOKENS
        setting = Setting(
            engine,
            pinned.context_tokens if pinned else min(longest, _CONTEXT_TOKENS),
            concurrency=model.concurrency,
            kv_dtype=pinned.kv_dtype if pinned else "f16",
        )
    stated: dict[str, Any] = {
        "context_tokens": request.context_tokens,
        "concurrency": request.concurrency,
        "kv_dtype": request.kv_dtype,
        "layer_split" if engine.splits_layers else "tensor_parallel": request.tensor_parallel,
    }
    given = {name: value for name, value in stated.items() if value is not None}
    if request.gpu or request.tensor_parallel:
        given["cache_space_bytes"] = None  # only processors reserve a cache of fixed size
    return replace(setting, **given)
