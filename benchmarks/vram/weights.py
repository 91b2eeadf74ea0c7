"""Bytes of weights from a shape and the name of a precision.

Only for these measurements, which name no files: the product reads exact bytes from headers.
"""

import re
from dataclasses import dataclass, replace

from benchmarks.vram.shapes import Model
from mealkit.memory.shape import Quantisation, Shape

_GROUP = 128


@dataclass(frozen=True, slots=True)
class Format:
    """How matrices are stored: bits of a number, and the method that made them."""

    method: str
    bits: int


def format_of(precision: str) -> Format | None:
    """Return the format that a precision means: BF16, FP8, GPTQ-Int4, AWQ w4, Int8, ..."""
    text = precision.lower()
    if re.search(r"bf16|fp16|float16|bfloat16", text):
        return Format("none", 16)
    if "fp8" in text:
        return Format("fp8", 8)
    bits = re.search(r"int(\d)|w(\d)|(\d)-?bit", text)
    width = int(next(filter(None, bits.groups()))) if bits else 4
    if "awq" in text:
        return Format("awq", width)
    # Qwen's own "Int4" and "Int8" are GPTQ, as its README says.
    return Format("gptq", width) if "gptq" in text or bits else None


def weighed(model: Model, form: Format, *, old_loader: bool = False) -> Shape:
    """Return the shape with its bytes.

    GPTQ and AWQ: per group of 128 a 16-bit scale and a zero of the number's width; GPTQ also a
    32-bit group index per input. FP8: a 16-bit scale per 128 x 128 block. ``old_loader``: tied
    output matrices are made too while loading, whatever the file holds.
    """
    shape = model.shape
    sizes: dict[str, int] = {}
    tables = shape.vocabulary * shape.hidden_size * (1 if model.tied else 2)
    floats = (tables + model.other_parameters) * 2
    matrices = model.matrix_parameters
    if form.method == "none":
        floats += matrices * 2
    elif form.method == "fp8":
        sizes["F8_E4M3"] = matrices
        floats += matrices * 2 // (_GROUP * _GROUP)
    else:
        group = _group(shape)
        packed = matrices * form.bits // 8 + matrices // group * form.bits // 8
        if form.method == "gptq":
            packed += 4 * _inputs(shape)
        sizes["I32"] = packed
        floats += matrices // group * 2
    copy = 0
    if model.tied and (old_loader or form_name(form) in model.head_in_file):
        copy = shape.vocabulary * shape.hidden_size * 2
    sizes["BF16"] = floats + copy
    quantised = None if form.method == "none" else Quantisation(form.method, form.bits)
    return replace(shape, bytes_by_dtype=sizes, tied_copy_bytes=copy, quantisation=quantised)


def form_name(form: Format) -> str:
    """Return a format's name as the table of shapes writes it."""
    match form.method:
        case "none":
            return "BF16"
        case "gptq":
            return f"GPTQ-Int{form.bits}"
        case other:
            return other.upper()


def merged_copies(shape: Shape) -> int:
    """Return the bytes of query, key and value matrices, which fusing copies before it drops them.

    Source: AutoAWQ, awq/utils/fused_utils.py (fuse_qkv); the old layers live until all are fused.
    """
    numbers = sum(
        item.parameters * item.count
        for item in shape.matrices()
        if item.name in ("query", "key, value")
    )
    return round(numbers * (shape.weight_bits / 8 + 2.5 / _group(shape)))


def _group(shape: Shape) -> int:
    """Return the group size: 128 where it divides the width, as the publishers chose it."""
    return next(size for size in (128, 64, 32) if shape.hidden_size % size == 0)


def _inputs(shape: Shape) -> int:
    """Return the inputs of all quantised matrices of all layers."""
    attention = 3 * shape.hidden_size + shape.heads * shape.head_dimension
    gates = 2 if shape.gated else 1
    if shape.experts is None:
        return shape.layers * (attention + gates * shape.hidden_size + shape.intermediate_size)
    one = gates * shape.hidden_size + shape.experts.intermediate_size
    shared = shape.experts.shared_intermediate_size
    both = one * shape.experts.count + (gates * shape.hidden_size + shared if shared else 0)
    return shape.layers * (attention + both)
