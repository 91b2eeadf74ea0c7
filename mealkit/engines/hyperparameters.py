"""The hyperparameters that several engines share, by task. Build side only."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mealkit.recipe.kit import StrictModel
from mealkit.strings import LoosePath
from mealkit.worker.interface import LARGEST_SEED

Length = Annotated[int, Field(ge=1, le=10_000_000)]


class EmbeddingHyperparameters(StrictModel):
    """How a sequence of token vectors becomes one vector."""

    pooling: Literal["mean", "cls"]
    """How token vectors become one: the mean over the real tokens, or the first token's."""
    max_length: Length
    """The most tokens an input may have, special tokens included."""
    normalize: bool
    """Whether vectors are scaled to length 1."""
    overlong: Literal["refuse"] = "refuse"
    """What happens to an input over max_length: it is refused, never cut."""


class ClassificationHyperparameters(StrictModel):
    """How logits become the probabilities of labels."""

    max_length: Length
    """The most tokens an input may have, special tokens included."""
    function: Literal["softmax", "sigmoid"]
    """softmax: one label is right; sigmoid: each is right or wrong by itself."""
    overlong: Literal["refuse"] = "refuse"
    """What happens to an input over max_length: it is refused, never cut."""


class RerankingHyperparameters(StrictModel):
    """How the logit of a query and a document becomes a score."""

    max_length: Length
    """The most tokens a query and a document may have together, special tokens included."""
    function: Literal["sigmoid", "none"]
    """sigmoid: scores between 0 and 1; none: the logit itself."""
    overlong: Literal["refuse"] = "refuse"
    """What happens to a pair over max_length: it is refused, never cut."""


class GenerationHyperparameters(StrictModel):
    """How the next token is chosen, and where an answer ends."""

    callers_may_set: ClassVar = frozenset(
        {
            "max_tokens",
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repetition_penalty",
            "presence_penalty",
            "frequency_penalty",
            "seed",
        }
    )
    """Those that a request has a parameter for: a kit may name them in ``overrides``."""

    max_length: Length
    """The most tokens of a request and its answer together: the context."""
    max_tokens: Length
    """The most tokens of an answer, where the caller does not ask for fewer."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0: always the likeliest token; above: the logits are divided by it."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Only the likeliest tokens that together have this probability are drawn from."""
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Only so many of the likeliest tokens are drawn from; 0: all."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Only tokens with this share of the likeliest one's probability are drawn from."""
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Divides the logits of tokens that stand in the request or the answer (CTRL, 2019)."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Is taken from the logits of tokens that stand in the answer."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Is taken from the logits of tokens once for each time they stand in the answer."""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    """What the draws start from: the same request gives the same answer."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer and are not part of it."""
    chat_template: LoosePath = "model"
    """model: the one that comes with the weights; none: no chat; else a file below /models."""
    tool_calls: Literal["none", "hermes"] = "none"
    """How the model writes calls of tools: hermes is JSON between <tool_call> tags."""
    overlong: Literal["refuse"] = "refuse"
    """What happens to a request that does not fit the context: it is refused, never cut."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        # Every request that names no max_tokens of its own would be refused.
        if self.max_tokens >= self.max_length:
            message = (
                f"max_tokens {self.max_tokens} leaves nothing of max_length {self.max_length} "
                "to a prompt"
            )
            raise ValueError(message)
        return self
