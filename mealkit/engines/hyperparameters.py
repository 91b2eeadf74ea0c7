"""The hyperparameters that several engines share, by task. Build side only."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mealkit.engines.other_values import (
    ANOTHER_SEED,
    EVERY_OTHER,
    HALF,
    NONE_OF_THEM,
    Other,
    Pinned,
    Salted,
    if_sampled,
    instead,
    kept,
    truncating,
)
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
# Half of it refuses long inputs, which shows whether the data has any.
HalvedLength = Annotated[Length, HALF]
Refusing = Annotated[
    Literal["refuse"], kept("it only decides whether an input over max_length is refused")
]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=MOST_STOP_CHARACTERS)]


def _half_of_the_context(pinned: Pinned) -> Sequence[Other] | str:
    """Return half of the context, and half of max_tokens if it would not fit any more."""
    found, answer = HALF.others(pinned), pinned.values.get("max_tokens")
    if isinstance(found, str) or not isinstance(answer, int):
        return found
    return [
        Other(item.value, {"max_tokens": answer // 2} if answer >= item.value else {})
        for item in found
        if type(item.value) is int and answer > 1
    ]


def _another_template(pinned: Pinned) -> Sequence[Other]:
    """Return no template, or the model's, and the model's other templates."""
    usual = "chat_template.jinja"
    files = [path for path in pinned.files if path.endswith(".jinja") and path != usual]
    named = ["model" if pinned.value == "none" else "none", *files]
    return [Other(value) for value in named if value != pinned.value]


class EmbeddingHyperparameters(StrictModel):
    """How the vectors of a text's tokens are combined into one vector."""

    pooling: Annotated[Literal["mean", "cls"], EVERY_OTHER]
    """The method: the mean of the real tokens' vectors, or the first token's vector."""
    max_length: Annotated[Length, truncating({"truncate": True}, overlong="truncate_if_asked")]
    """The maximum number of tokens of an input, including special tokens."""
    normalize: Annotated[bool, EVERY_OTHER]
    """Whether vectors are scaled to length 1."""
    overlong: Annotated[
        Literal["refuse", "truncate_if_asked"],
        kept("it only decides about inputs over max_length, and is changed with max_length"),
    ] = "refuse"
    """An input over max_length is refused; with truncate_if_asked, a request with `truncate` gets
    the vector of its beginning."""


class ClassificationHyperparameters(StrictModel):
    """How logits are converted to the probabilities of labels."""

    max_length: HalvedLength
    """The maximum number of tokens of an input, including special tokens."""
    function: Annotated[Literal["softmax", "sigmoid"], EVERY_OTHER]
    """softmax: exactly one label applies; sigmoid: each label applies or not, independently."""
    overlong: Refusing = "refuse"
    """An input over max_length is refused, never truncated."""


class RerankingHyperparameters(StrictModel):
    """How the logit of a query and a document is converted to a score."""

    max_length: HalvedLength
    """The maximum number of tokens of a query and a document together, with special tokens."""
    function: Annotated[Literal["sigmoid", "none"], EVERY_OTHER]
    """sigmoid: scores between 0 and 1; none: the logit itself."""
    overlong: Refusing = "refuse"
    """A pair over max_length is refused, never truncated."""


class GenerationHyperparameters(StrictModel):
    """How the next token is chosen, and when an answer ends."""

    callers_may_set: ClassVar = frozenset(parameter.name for parameter in PINNED)
    """The parameters that a request may also have: a kit may name them in ``overrides``."""

    max_length: Annotated[Length, Salted(_half_of_the_context)]
    """The maximum number of tokens of a request and its answer together: the context."""
    max_tokens: Annotated[int, Field(**MAX_TOKENS.bounds), HALF]
    """The maximum number of tokens of an answer, if the caller does not set a lower one."""
    temperature: Annotated[float, Field(**TEMPERATURE.field), instead(1.0, 0.0)] = (
        TEMPERATURE.neutral
    )
    top_p: Annotated[float, Field(**TOP_P.field), if_sampled(instead(0.5, 1.0))] = TOP_P.neutral
    top_k: Annotated[int, Field(**TOP_K.field), if_sampled(instead(10, 0))] = TOP_K.neutral
    min_p: Annotated[float, Field(**MIN_P.field), if_sampled(instead(0.1, 0.0))] = MIN_P.neutral
    repetition_penalty: Annotated[float, Field(**REPETITION_PENALTY.field), instead(1.2, 1.0)] = (
        REPETITION_PENALTY.neutral
    )
    presence_penalty: Annotated[float, Field(**PRESENCE_PENALTY.field), instead(0.5, 0.0)] = (
        PRESENCE_PENALTY.neutral
    )
    frequency_penalty: Annotated[float, Field(**FREQUENCY_PENALTY.field), instead(0.5, 0.0)] = (
        FREQUENCY_PENALTY.neutral
    )
    seed: Annotated[int, Field(**SEED.field), if_sampled(ANOTHER_SEED)] = SEED.neutral
    stop: Annotated[tuple[StopText, ...], Field(max_length=MOST_STOPS), NONE_OF_THEM] = ()
    """Texts that end an answer and are not part of it."""
    chat_template: Annotated[LoosePath, Salted(_another_template)] = "model"
    """model: the template of the weights; none: no chat; otherwise a file below /models."""
    tool_calls: Annotated[Literal["none", "hermes"], EVERY_OTHER] = "none"
    """The format of the model's tool calls: hermes is JSON between <tool_call> tags."""
    overlong: Refusing = "refuse"
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
