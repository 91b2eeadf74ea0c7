"""The hyperparameters that several engines share, by task. Build side only."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mealkit.recipe.answers import StrictModel
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
    """How the vectors of a text's tokens are combined into one vector."""

    pooling: Literal["mean", "cls"]
    """The method: the mean of the real tokens' vectors, or the first token's vector."""
    max_length: Length
    """The maximum number of tokens of an input, including special tokens."""
    normalize: bool
    """Whether vectors are scaled to length 1."""
    overlong: Literal["refuse", "truncate_if_asked"] = "refuse"
    """An input over max_length is refused; with truncate_if_asked, a request with `truncate` gets
    the vector of its beginning."""


class ClassificationHyperparameters(StrictModel):
    """How logits are converted to the probabilities of labels."""

    max_length: Length
    """The maximum number of tokens of an input, including special tokens."""
    function: Literal["softmax", "sigmoid"]
    """softmax: exactly one label applies; sigmoid: each label applies or not, independently."""
    overlong: Literal["refuse"] = "refuse"
    """An input over max_length is refused, never truncated."""


class RerankingHyperparameters(StrictModel):
    """How the logit of a query and a document is converted to a score."""

    max_length: Length
    """The maximum number of tokens of a query and a document together, with special tokens."""
    function: Literal["sigmoid", "none"]
    """sigmoid: scores between 0 and 1; none: the logit itself."""
    overlong: Literal["refuse"] = "refuse"
    """A pair over max_length is refused, never truncated."""


class GenerationHyperparameters(StrictModel):
    """How the next token is chosen, and when an answer ends."""

    callers_may_set: ClassVar = frozenset(parameter.name for parameter in PINNED)
    """The parameters that a request may also have: a kit may name them in ``overrides``."""

    max_length: Length
    """The maximum number of tokens of a request and its answer together: the context."""
    max_tokens: Annotated[int, Field(**MAX_TOKENS.bounds)]
    """The maximum number of tokens of an answer, if the caller does not set a lower one."""
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
    """model: the template of the weights; none: no chat; otherwise a file below /models."""
    tool_calls: Literal["none", "hermes"] = "none"
    """The format of the model's tool calls: hermes is JSON between <tool_call> tags."""
    overlong: Literal["refuse"] = "refuse"
    """A request that does not fit into the context is refused, never truncated."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        # Otherwise every request without its own max_tokens would be refused.
        if self.max_tokens >= self.max_length:
            message = (
                f"max_tokens {self.max_tokens} leaves no space in max_length {self.max_length} "
                "for a prompt"
            )
            raise ValueError(message)
        return self
