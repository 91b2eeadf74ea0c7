"""The hyperparameters that several engines share, by task. Build side only."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mealkit.recipe.kit import StrictModel
from mealkit.recipe.sampling_parameters import (
    FREQUENCY_PENALTY,
    MAX_TOKENS,
    MIN_P,
    MOST_CONTEXT_TOKENS,
    MOST_STOP_CHARACTERS,
    MOST_STOPS,
    PINNED,
    PRESENCE_PENALTY,
    REPETITION_PENALTY,
    SEED,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)
from mealkit.strings import LoosePath

Length = Annotated[int, Field(ge=1, le=MOST_CONTEXT_TOKENS)]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=MOST_STOP_CHARACTERS)]


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

    callers_may_set: ClassVar = frozenset(parameter.name for parameter in PINNED)
    """Those that a request has a parameter for: a kit may name them in ``overrides``."""

    max_length: Length
    """The most tokens of a request and its answer together: the context."""
    max_tokens: Annotated[int, Field(**MAX_TOKENS.bounds)]
    """The most tokens of an answer, where the caller does not ask for fewer."""
    temperature: Annotated[float, Field(**TEMPERATURE.field)] = TEMPERATURE.neutral
    top_p: Annotated[float, Field(**TOP_P.field)] = TOP_P.neutral
    top_k: Annotated[int, Field(**TOP_K.field)] = TOP_K.neutral
    min_p: Annotated[float, Field(**MIN_P.field)] = MIN_P.neutral
    repetition_penalty: Annotated[float, Field(**REPETITION_PENALTY.field)] = (
        REPETITION_PENALTY.neutral
    )
    presence_penalty: Annotated[float, Field(**PRESENCE_PENALTY.field)] = PRESENCE_PENALTY.neutral
    frequency_penalty: Annotated[float, Field(**FREQUENCY_PENALTY.field)] = (
        FREQUENCY_PENALTY.neutral
    )
    seed: Annotated[int, Field(**SEED.field)] = SEED.neutral
    stop: Annotated[tuple[StopText, ...], Field(max_length=MOST_STOPS)] = ()
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
