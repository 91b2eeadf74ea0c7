"""The published measurements, each turned into the shape and the setting that it was made with."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.vram.shapes import Model
from benchmarks.vram.weights import Format, format_of, merged_copies, weighed
from mealkit.engines.transformers.memory import MEMORY as TRANSFORMERS
from mealkit.engines.transformers.memory import habits_of
from mealkit.engines.vllm.memory import MEMORY as VLLM
from mealkit.memory.setting import (
    Compared,
    Habits,
    KvDtype,
    Scope,
    Setting,
)
from mealkit.memory.shape import Shape
from mealkit.memory.terms import GIB, MIB

ROWS = Path(__file__).parent / "data" / "vram_dev.csv"

PEAK = "peak memory (torch max_memory_allocated)"
VENDOR = "vendor table, method not stated"
PARTS = "parts of a total"

# AutoAWQ's benchmark multiplies two matrices of 4096 x 4096 in 32 bit to warm up.
_WARM_UP_BYTES = 2 * 4096 * 4096 * 4
_EXLLAMA_TOKENS = 2048
_HOPPER = re.compile(r"\bH(20|100|200|800)\b|GH200")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    model: str
    precision: str
    engine: str
    gpu: str
    what: str
    kind: str
    input_tokens: int
    output_tokens: int
    context_tokens: int
    batch: int
    kv_dtype: str
    gpus: int
    measured_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement with what the estimator needs of it."""

    row: Row
    family: str
    form: Format
    shape: Shape
    setting: Setting


def read_rows(path: Path = ROWS) -> list[Row]:
    """Read the measurements.

    ``GB`` without a base is read as GiB: with 10^9 bytes, the table of Qwen-72B would state less
    than its weights and cache.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(form) for form in csv.DictReader(file)]


def case_of(row: Row, models: dict[str, Model]) -> Case | str:
    """Return a measurement's case, or why it cannot be estimated."""
    model = models.get(row.model) or models.get(row.model.removesuffix("-Instruct"))
    if model is None:
        return f"no shape is known of {row.model}"
    form = format_of(row.precision)
    if form is None:
        return f"precision {row.precision} is not known"
    old = row.engine.startswith("transformers 4.") and _version(row.engine) < (4, 45)
    shape = weighed(model, form, old_loader=old)
    return Case(row, _family(row.model), form, shape, _setting(row, model, shape))


def _row(form: dict[str, str]) -> Row:
    def number(name: str) -> int:
        return int(form[name] or 0)

    measured, unit = float(form["measured_value"]), form["unit_as_printed"]
    scale = MIB if unit.startswith("M") else GIB
    if form["measured_gib"]:
        measured, scale = float(form["measured_gib"]), GIB
    tokens_in, tokens_out = number("input_tokens"), number("output_tokens")
    return Row(
        model=form["model"],
        precision=form["precision"],
        engine=form["engine"],
        gpu=form["gpu"],
        what=form["what_it_measures"],
        kind=_kind(form),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        context_tokens=number("context_total") or tokens_in + tokens_out,
        batch=number("batch") or 1,
        kv_dtype=form["kv_cache_dtype"],
        gpus=number("num_gpus") or 1,
        measured_bytes=round(measured * scale),
    )


def _kind(form: dict[str, str]) -> str:
    what, engine = form["what_it_measures"].lower(), form["engine"].lower()
    if "max_memory_allocated" in what or "gpu memory(mb)" in what:
        return PEAK
    if "vllm" in engine or "llama" in engine.replace("exllama", ""):
        return PARTS
    return VENDOR


def _version(engine: str) -> tuple[int, int]:
    found = re.search(r"transformers (\d+)\.(\d+)", engine)
    return (int(found[1]), int(found[2])) if found else (4, 46)


def _setting(row: Row, model: Model, shape: Shape) -> Setting:
    engine = VLLM if "vllm" in row.engine.lower() else TRANSFORMERS
    loading = 0
    if "AutoAWQ" in row.engine:
        loading = max(_WARM_UP_BYTES, 0 if model.merged_qkv else merged_copies(shape))
    kv_dtype: KvDtype = "int8" if row.kv_dtype.startswith("int8") else "f16"
    return Setting(
        engine=engine,
        context_tokens=row.context_tokens or _EXLLAMA_TOKENS,
        prompt_tokens=row.input_tokens or 1,
        concurrency=row.batch,
        kv_dtype=kv_dtype,
        tensor_parallel=1 if engine.splits_layers else row.gpus,
        layer_split=row.gpus if engine.splits_layers else 1,
        compute_capability=(9, 0) if _HOPPER.search(row.gpu) else (8, 0),
        loading_bytes=loading,
        habits=_habits(row),
        compared=Compared.DEVICE if row.kind == VENDOR else Compared.ALLOCATED,
        scope=Scope.ALL_GPUS,
    )


def _habits(row: Row) -> Habits:
    """Return what the engine of a row does.

    AutoAWQ: examples/benchmark.py and awq/modules/fused/attn.py: the cache holds as many tokens
    as are generated, attention writes its scores out. The first Qwen's own code: tuples for a
    cache, 16-bit logits.
    """
    if "AutoAWQ" in row.engine:
        return Habits(
            prompt_logits_bytes=2,
            pool_first=False,
            attention_bytes=10,
            cache_tokens=row.output_tokens,
        )
    if "exllama" in row.engine:
        return Habits(pool_first=False, cache_tokens=_EXLLAMA_TOKENS)
    if "torch 2.0" in row.engine:
        return Habits(prompt_logits_bytes=2, cache_copies=2, pool_first=False)
    return habits_of(_version(row.engine))


def _family(model: str) -> str:
    """Return the family that a model belongs to, for leaving one out."""
    found = re.match(r"(Qwen2\.5|Qwen2|Qwen3|Qwen)-", model)
    return found[1] if found else re.sub(r"^TheBloke/", "", model).split("-")[0]
