"""Every parameter of text generation: its name, type, bounds and meaning, stated once.

Kits, callers' requests, workers and importers take their bounds from here, so that a value which
one of them takes is one that all of them take. Standard library only: workers import it.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_Number_co = TypeVar("_Number_co", bound=float, covariant=True)

LARGEST_SEED = 2**63 - 1
"""Seeds begin at 0 and have 63 bits: as many as every generator of draws takes."""


MOST_CONTEXT_TOKENS = 10_000_000
"""The longest context of a model: more than any has; some say 10**30 for "no limit"."""


@dataclass(frozen=True, slots=True)
class Parameter(Generic[_Number_co]):
    """A number that a request may have; null, like leaving it out, stands for the kit's own."""

    name: str
    """The name, in kits as in requests; `MAX_TOKENS` has a second one in chats."""
    kind: type[_Number_co]
    least: _Number_co
    most: _Number_co
    neutral: _Number_co
    """The value that changes nothing; a kit's own where it says nothing."""
    meaning: str
    """What it does, in the sentence that docs and schemas show."""
    is_above_least: bool = False
    """Whether ``least`` itself is refused."""

    def accepts(self, value: Any) -> bool:
        """Tell whether a value has the type, and lies within the bounds; NaN never does."""
        if type(value) not in {int, self.kind}:
            return False
        is_high = self.least < value if self.is_above_least else self.least <= value
        return is_high and bool(value <= self.most)

    @property
    def bounds(self) -> dict[str, Any]:
        """The bounds, as pydantic's ``Field`` takes them."""
        return {"gt" if self.is_above_least else "ge": self.least, "le": self.most}

    @property
    def field(self) -> dict[str, Any]:
        """Bounds and meaning, as pydantic's ``Field`` takes them."""
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
    "The most tokens of the answer.",
)
TEMPERATURE = Parameter(
    "temperature",
    float,
    0,
    2,
    0.0,
    "0: always the likeliest token; above: the logits are divided by it.",
)
TOP_P = Parameter(
    "top_p",
    float,
    0,
    1,
    1.0,
    "Only the likeliest tokens that together have this probability are drawn from.",
    is_above_least=True,
)
TOP_K = Parameter(
    "top_k", int, 0, 1_000_000, 0, "Only so many of the likeliest tokens are drawn from; 0: all."
)
MIN_P = Parameter(
    "min_p",
    float,
    0,
    1,
    0.0,
    "Only tokens with this share of the likeliest one's probability are drawn from.",
)
REPETITION_PENALTY = Parameter(
    "repetition_penalty",
    float,
    0,
    10,
    1.0,
    "Divides the logits of tokens that stand in the request or the answer (CTRL, 2019).",
    is_above_least=True,
)
PRESENCE_PENALTY = Parameter(
    "presence_penalty",
    float,
    -2,
    2,
    0.0,
    "Is taken from the logits of tokens that stand in the answer.",
)
FREQUENCY_PENALTY = Parameter(
    "frequency_penalty",
    float,
    -2,
    2,
    0.0,
    "Is taken from the logits of tokens once for each time they stand in the answer.",
)
SEED = Parameter(
    "seed",
    int,
    0,
    LARGEST_SEED,
    0,
    "What the draws start from: the same request gives the same answer.",
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
"""Those that a kit pins as hyperparameters, and may leave to callers by ``overrides``."""

# A request's own. 16 answers, not OpenAI's 128: each of them holds the context's memory in an
# engine, and 16 is what the gateway has let through from the beginning.
ANSWERS = Parameter("n", int, 1, 16, 1, "How many answers.")
TOP_LOGPROBS = Parameter(
    "top_logprobs",
    int,
    0,
    20,
    0,
    "How many likely tokens are told beside each token of the answer.",
)
COMPLETION_LOGPROBS = Parameter(
    "logprobs", int, 0, 5, 0, "How many likely tokens are told beside each token of the answer."
)
"""OpenAI's name, and bound, of `TOP_LOGPROBS` in completions."""
LOGIT_BIAS = Parameter(
    "logit_bias",
    float,
    -100,
    100,
    0.0,
    "What is added to the logit of a token, by the token's number.",
)
"""One token's bias: beyond these bounds it is as good as forced or forbidden already."""
OF_REQUESTS: tuple[Parameter[float], ...] = (
    ANSWERS,
    TOP_LOGPROBS,
    COMPLETION_LOGPROBS,
    LOGIT_BIAS,
)
"""Those that no kit pins."""

MOST_BIASES = 16_384
"""How many tokens ``logit_bias`` may name."""
TOKEN_PATTERN = "[0-9]{1,9}"  # noqa: S105
"""How ``logit_bias`` names a token: by its number."""
MOST_STOPS = 16
"""How many texts may end an answer: of a kit, and of a request beside them."""
MOST_STOP_CHARACTERS = 1000
"""How long such a text may be; it is never empty."""


def is_stop(text: Any) -> bool:
    """Tell whether a value is a text that may end an answer."""
    return isinstance(text, str) and 0 < len(text) <= MOST_STOP_CHARACTERS
