"""All parameters of text generation: name, type, bounds and meaning, in one place.

Kits, requests, workers and importers use these bounds, so that all of them accept the same values.
Imports only the standard library, because workers import it.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_Number_co = TypeVar("_Number_co", bound=float, covariant=True)

LARGEST_SEED = 2**63 - 1
"""Seeds are from 0 to this: 63 bits, which every random number generator accepts."""


MOST_CONTEXT_TOKENS = 10_000_000
"""The longest context of a model: more than any has; some say 10**30 for "no limit"."""


@dataclass(frozen=True, slots=True)
class Parameter(Generic[_Number_co]):
    """A number in a request; null, like a missing value, means the kit's own value."""

    name: str
    """The parameter's name in kits and requests; `MAX_TOKENS` has a second name in chats."""
    kind: type[_Number_co]
    least: _Number_co
    most: _Number_co
    neutral: _Number_co
    """The value without effect; the default of a kit that does not set the parameter."""
    meaning: str
    """The parameter's effect, in the sentence that docs and schemas show."""
    is_above_least: bool = False
    """Whether the value must be greater than ``least``."""

    def accepts(self, value: Any) -> bool:
        """Return whether a value has the type and is within the bounds; NaN is not."""
        if type(value) not in {int, self.kind}:
            return False
        is_high = self.least < value if self.is_above_least else self.least <= value
        return is_high and bool(value <= self.most)

    @property
    def bounds(self) -> dict[str, Any]:
        """The bounds, as arguments of pydantic's ``Field``."""
        return {"gt" if self.is_above_least else "ge": self.least, "le": self.most}

    @property
    def field(self) -> dict[str, Any]:
        """The bounds and the meaning, as arguments of pydantic's ``Field``."""
        return {**self.bounds, "description": self.meaning}

    @property
    def shown_bounds(self) -> str:
        """The bounds, for people."""
        return f"{'above ' if self.is_above_least else ''}{self.least} to {self.most}"


MAX_TOKENS = Parameter(
    "max_tokens",
    int,
    1,
    MOST_CONTEXT_TOKENS,
    MOST_CONTEXT_TOKENS,
    "The maximum number of tokens of the answer.",
)
TEMPERATURE = Parameter(
    "temperature",
    float,
    0,
    2,
    0.0,
    "0: always take the likeliest token; above 0: divide the logits by this.",
)
TOP_P = Parameter(
    "top_p",
    float,
    0,
    1,
    1.0,
    "Sample only from the likeliest tokens that together have this probability.",
    is_above_least=True,
)
TOP_K = Parameter(
    "top_k", int, 0, 1_000_000, 0, "Sample only from this many of the likeliest tokens; 0: all."
)
MIN_P = Parameter(
    "min_p",
    float,
    0,
    1,
    0.0,
    "Sample only from tokens with at least this share of the likeliest token's probability.",
)
REPETITION_PENALTY = Parameter(
    "repetition_penalty",
    float,
    0,
    10,
    1.0,
    "Divide the logits of tokens that occur in the request or the answer by this (CTRL, 2019).",
    is_above_least=True,
)
PRESENCE_PENALTY = Parameter(
    "presence_penalty",
    float,
    -2,
    2,
    0.0,
    "Subtract this from the logits of tokens that occur in the answer.",
)
FREQUENCY_PENALTY = Parameter(
    "frequency_penalty",
    float,
    -2,
    2,
    0.0,
    "Subtract this from a token's logit for each time the token occurs in the answer.",
)
SEED = Parameter(
    "seed",
    int,
    0,
    LARGEST_SEED,
    0,
    "The seed of the random numbers: the same request gives the same answer.",
)
PINNED: tuple[Parameter[float], ...] = (
    MAX_TOKENS,
    TEMPERATURE,
    TOP_P,
    TOP_K,
    MIN_P,
    REPETITION_PENALTY,
    PRESENCE_PENALTY,
    FREQUENCY_PENALTY,
    SEED,
)
"""The parameters that a kit pins as hyperparameters, and may open to callers by ``overrides``."""

# Parameters of requests only. 16 answers, not OpenAI's 128: each answer needs memory for its
# context in the engine.
ANSWERS = Parameter("n", int, 1, 16, 1, "The number of answers.")
TOP_LOGPROBS = Parameter(
    "top_logprobs",
    int,
    0,
    20,
    0,
    "The number of likely tokens to return with each token of the answer.",
)
COMPLETION_LOGPROBS = Parameter(
    "logprobs", int, 0, 5, 0, "The number of likely tokens to return with each token of the answer."
)
"""OpenAI's name and bound for `TOP_LOGPROBS` in completions."""
LOGIT_BIAS = Parameter(
    "logit_bias",
    float,
    -100,
    100,
    0.0,
    "The number to add to the logit of a token, by the token's number.",
)
"""The bias of one token: values beyond these bounds would already force or forbid the token."""
OF_REQUESTS: tuple[Parameter[float], ...] = (
    ANSWERS,
    TOP_LOGPROBS,
    COMPLETION_LOGPROBS,
    LOGIT_BIAS,
)
"""The parameters that no kit pins."""

MOST_BIASES = 16_384
"""The maximum number of tokens in ``logit_bias``."""
TOKEN_PATTERN = "[0-9]{1,9}"  # noqa: S105
"""The form of a token's number in ``logit_bias``."""
MOST_STOPS = 16
"""The maximum number of stop texts of a kit, and of a request in addition to them."""
MOST_STOP_CHARACTERS = 1000
"""The maximum length of a stop text; it is never empty."""


def is_stop(text: Any) -> bool:
    """Return whether a value is a valid stop text."""
    return isinstance(text, str) and 0 < len(text) <= MOST_STOP_CHARACTERS
