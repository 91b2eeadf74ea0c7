"""Computes the cache that requests need in vLLM: blocks of tokens, in groups of layers.

All groups take blocks of the same size from one pool, so a model with windows on some layers, or
with a state on some, gets several groups with the same number of layers. Source, as of 0.32:
vllm/v1/core/kv_cache_utils.py (get_kv_cache_groups, _max_memory_usage_bytes_from_groups) and
vllm/v1/kv_cache_interface.py (max_memory_usage_bytes of each kind of layer).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from mealkit.memory.kv_cache import cached_numbers_per_token
from mealkit.memory.setting import KV_BYTES, Setting
from mealkit.memory.shape import Shape

SOURCE = "vllm/v1/core/kv_cache_utils.py, vllm/v1/kv_cache_interface.py"

# Up to this ratio of the numbers of layers, the smaller kind is padded to the larger one's number.
_PADDED_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a device divides its cache."""

    tokens: int
    """The tokens of one block, for layers that keep all of them."""
    batches: int
    """The batches that are scheduled at the same time; none of them frees its tokens early."""


def cache_bytes(shape: Shape, setting: Setting, blocks: Blocks) -> int:
    """Return the size of the cache for all requests, with the block that vLLM never uses."""
    kinds = list(_kinds(shape, setting, blocks)) if shape.generates else []
    if not kinds:
        return 0
    group = _layers_of_a_group([layers for layers, _ in kinds])
    needed = sum(-(-layers // group) * each for layers, each in kinds)
    return group * page_bytes(shape, setting, blocks) * (setting.concurrency * needed + 1)


def page_bytes(shape: Shape, setting: Setting, blocks: Blocks) -> int:
    """Return the size of one layer's part of a block; a state fits into one."""
    return _block_tokens(shape, setting, blocks) * _bytes_per_token(shape, setting)


def _kinds(shape: Shape, setting: Setting, blocks: Blocks) -> Iterator[tuple[int, int]]:
    """Yield for each kind of layer how many there are, and one request's blocks in one of them."""
    layers = shape.layers if shape.cached_layers is None else shape.cached_layers
    sliding = min(shape.window.layers, layers) if shape.window else 0
    context, tokens = setting.context_tokens, _block_tokens(shape, setting, blocks)
    if layers > sliding:
        yield layers - sliding, -(-context // tokens)
    if shape.window and sliding:
        in_flight = blocks.batches * setting.batched_tokens
        kept = min(shape.window.tokens - 1 + in_flight, context)
        # A window can begin in the middle of a block.
        yield sliding, -(-kept // tokens) + 1
    if shape.recurrent:
        yield shape.recurrent.layers, 1


def _layers_of_a_group(layers: list[int]) -> int:
    fewest, most = min(layers), max(layers)
    return most if most < _PADDED_RATIO * fewest else fewest


def _block_tokens(shape: Shape, setting: Setting, blocks: Blocks) -> int:
    """Return the tokens of a block, which is at least as large as a layer's state."""
    if shape.recurrent is None:
        return blocks.tokens
    state_bytes = shape.recurrent.state_bytes / setting.tensor_parallel
    wanted = ceil(state_bytes / (blocks.tokens * _bytes_per_token(shape, setting)))
    return max(1, wanted) * blocks.tokens


def _bytes_per_token(shape: Shape, setting: Setting) -> int:
    return round(cached_numbers_per_token(shape, setting) * KV_BYTES[setting.kv_dtype])
