"""The facts about a model that the estimate needs, and what follows from them: matrices and sizes.

No I/O. Raises PreflightError for a shape without layers or with implausible dimensions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from mealkit.errors import failure
from mealkit.strings import Bytes, Line

# The maximum for a model's dimensions; the largest in practice is a vocabulary, below a million.
_LARGEST = 2**31
Dimension = Annotated[int, Field(ge=0, le=_LARGEST)]


def _require_plausible(part: object) -> None:
    """Raise an error for dimensions that no model has: the estimate would be meaningless."""
    for name in getattr(part, "__slots__", ()):
        value = getattr(part, name)
        if name.endswith("_bytes") or type(value) not in {int, float}:
            continue
        if not 0 <= value <= _LARGEST:
            message = f"the model states an implausible {name.replace('_', ' ')}"
            raise failure("ESTIMATE_UNKNOWN", message)


_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention: one compressed vector per token is cached, not keys and values.

    Source: DeepSeek-V2 (arXiv 2405.04434), table 1: ``(kv_lora_rank + rope_dimension)`` per layer.
    transformers expands it first, and caches ``expanded_dimension`` numbers per head.
    """

    kv_lora_rank: Dimension
    rope_dimension: Dimension
    expanded_dimension: Dimension
    """The numbers in one head's key and value together."""

    def __post_init__(self) -> None:
        _require_plausible(self)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Layers that store only the last tokens."""

    tokens: Dimension
    layers: Dimension
    """The number of layers with a window; the others store all tokens."""

    def __post_init__(self) -> None:
        _require_plausible(self)


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """Layers that keep a state of fixed size for each request, as Mamba does."""

    layers: Dimension
    state_bytes: Bytes
    """The size of one layer's state for one request."""

    def __post_init__(self) -> None:
        _require_plausible(self)


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts: all are loaded, and each token uses a few of them."""

    count: Dimension
    active: Dimension
    intermediate_size: Dimension
    shared_intermediate_size: Dimension = 0
    """The width of the part that all tokens use; 0: the model has none."""

    def __post_init__(self) -> None:
        _require_plausible(self)


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How the matrices of the layers are stored; embeddings and norms are not quantised."""

    method: Line
    """gptq, awq, fp8, gguf, ..."""
    bits: Annotated[float, Field(gt=0, le=64)]

    def __post_init__(self) -> None:
        _require_plausible(self)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A kind of matrix: how many there are, and how many numbers each has."""

    name: str
    parameters: int
    count: int
    quantised: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """A model, as its headers and config.json describe it."""

    bytes_by_dtype: Mapping[Line, Bytes]
    """Bytes of weights by the header's dtype: exact for every format."""
    layers: Dimension
    hidden_size: Dimension
    intermediate_size: Dimension
    heads: Dimension
    kv_heads: Dimension
    head_dimension: Dimension
    vocabulary: Dimension
    max_positions: Dimension | None = None
    cached_layers: Dimension | None = None
    """The number of layers with a cache, for models with different layers; None: all layers."""
    tied_copy_bytes: Bytes = 0
    """Bytes of an output matrix that is in the file although it is tied to the embeddings."""
    gated: bool = True
    """Whether the feed-forward part has three matrices (SwiGLU) or two."""
    generates: bool = True
    """Whether it generates text, token by token, with a cache; encoders do not."""
    latent: LatentAttention | None = None
    window: SlidingWindow | None = None
    recurrent: RecurrentState | None = None
    experts: Experts | None = None
    quantisation: Quantisation | None = None
    unknown: tuple[Line, ...] = field(default=())
    """The values that the headers do not state and that are assumed, for people."""

    def __post_init__(self) -> None:
        _require_plausible(self)
        numbers = {
            "layers": self.layers,
            "hidden size": self.hidden_size,
            "heads": self.heads,
            "kv heads": self.kv_heads,
        }
        missing = [name for name, number in numbers.items() if number <= 0]
        if missing:
            raise failure("ESTIMATE_UNKNOWN", f"the model's {', '.join(missing)} are not known")

    @property
    def file_bytes(self) -> int:
        """Bytes of weights in the files."""
        return sum(self.bytes_by_dtype.values())

    @property
    def loaded_bytes(self) -> int:
        """Bytes of weights after loading, as stored: a tied output matrix counts once."""
        return self.file_bytes - self.tied_copy_bytes

    def loaded_as(self, float_bytes: int | None) -> int:
        """Return the bytes after loading, with floats cast to a width; None: as stored."""
        if float_bytes is None:
            return self.loaded_bytes
        cast = sum(
            size_bytes // _FLOATS[dtype] * float_bytes if dtype in _FLOATS else size_bytes
            for dtype, size_bytes in self.bytes_by_dtype.items()
        )
        return cast - self.tied_copy_bytes

    @property
    def weight_bits(self) -> float:
        """The bits per number in a matrix of the layers."""
        if self.quantisation:
            return self.quantisation.bits
        widest = max(
            self.bytes_by_dtype, key=lambda name: self.bytes_by_dtype[name], default="BF16"
        )
        return 8.0 * _FLOATS.get(widest, 2)

    def matrices(self) -> Iterator[Matrix]:
        """Yield the kinds of matrices of a decoder, in the order in which they are loaded."""
        hidden = self.hidden_size
        yield Matrix("embeddings", self.vocabulary * hidden, 1, quantised=False)
        yield Matrix("query", hidden * self.heads * self.head_dimension, self.layers)
        yield Matrix("key, value", hidden * self.kv_heads * self.head_dimension, 2 * self.layers)
        yield Matrix("output", hidden * self.heads * self.head_dimension, self.layers)
        per_part = 3 if self.gated else 2
        if self.experts is None:
            yield Matrix("mlp", hidden * self.intermediate_size, per_part * self.layers)
            return
        one = hidden * self.experts.intermediate_size
        yield Matrix("expert", one, per_part * self.experts.count * self.layers)
        if self.experts.shared_intermediate_size:
            shared = hidden * self.experts.shared_intermediate_size
            yield Matrix("shared expert", shared, per_part * self.layers)

    @property
    def largest_matrix(self) -> int:
        """The number of entries in the largest matrix of a layer."""
        return max(matrix.parameters for matrix in self.matrices() if matrix.quantised)
