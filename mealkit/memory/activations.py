"""Estimates the memory of one layer's forward pass, in addition to weights and cache."""

from mealkit.memory.shape import Shape

# Every engine here except onnxruntime computes activations in 16 bits.
ACTIVATION_BYTES = 2


def layer_numbers_per_token(shape: Shape) -> int:
    """Return the numbers per token that are in memory at a layer's widest moment.

    down(act(gate(x)) * up(x)): act, up and their product exist at the same time (3 widths), with
    the model's input, the layer's input, the residual and the normed input (4 hidden states).
    Without a gate: up and its activation (2 widths). If heads are wider than the feed-forward part,
    as with many small experts, rotating the query is the widest moment: the query, its two rotated
    parts and their sum, with key, value and three hidden states.
    """
    return max(_feed_forward_numbers(shape), _attention_numbers(shape))


def crowded_numbers_per_token(shape: Shape) -> int:
    """Return the same number for the case that all tokens choose the same experts."""
    if shape.experts is None:
        return layer_numbers_per_token(shape)
    width = max(shape.experts.intermediate_size, shape.experts.shared_intermediate_size)
    crowded = width * (3 if shape.gated else 2) + 8 * shape.hidden_size
    return max(crowded, _attention_numbers(shape))


def describe(shape: Shape) -> str:
    """Return the formula as text, with the model's numbers."""
    if _attention_numbers(shape) > _feed_forward_numbers(shape):
        query, keys = shape.heads * shape.head_dimension, shape.kv_heads * shape.head_dimension
        return f"(4 x {query} + 2 x {keys} + 3 x {shape.hidden_size}) x 2 bytes"
    width = _feed_forward_width(shape)
    return f"({3 if shape.gated else 2} x {width} + 4 x {shape.hidden_size}) x 2 bytes"


def _feed_forward_numbers(shape: Shape) -> int:
    return _feed_forward_width(shape) * (3 if shape.gated else 2) + 4 * shape.hidden_size


def _attention_numbers(shape: Shape) -> int:
    heads = 4 * shape.heads + 2 * shape.kv_heads
    return heads * shape.head_dimension + 3 * shape.hidden_size


def _feed_forward_width(shape: Shape) -> int:
    if shape.experts is None:
        return shape.intermediate_size
    # Tokens are distributed among the experts: each expert gets its share, one expert at a time.
    # The routing is never even, so this counts twice the share.
    routed = shape.experts.intermediate_size * min(
        1.0, 2 * shape.experts.active / shape.experts.count
    )
    return max(round(routed), shape.experts.shared_intermediate_size)
