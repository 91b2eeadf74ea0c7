"""The decoding loop of one answer: logits → token → text, until a stop token, stop text or limit.

Yields only whole characters, no part of a stop text, and each token's probability together with its
text.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mealkit.worker.generation.logits_model import TokenModel
from mealkit.worker.generation.stop_texts import Pieces
from mealkit.worker.generation.token_choice import Logits, Sampler, likeliest, log_probability
from mealkit.worker.generation_values import ChosenToken, Finished, Likelihood, Sampling, Written
from mealkit.worker.interface import IsCancelled


class Constraint(Protocol):
    """The tokens that an answer may have: queried before each token, updated after it."""

    def allowed(self) -> NDArray[np.bool_]:
        """Return the tokens that may come next, one flag for each."""

    def repeats_name(self, token_id: int) -> bool:
        """Return whether an allowed token would give a JSON object the same name twice."""

    def accept(self, token_id: int) -> None:
        """Advance by one of the allowed tokens."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The parts that decode one answer."""

    prompt: Sequence[int]
    sampling: Sampling
    index: int
    alternatives: int | None
    constraint: Constraint | None
    is_cancelled: IsCancelled


def written(
    model: TokenModel, assignment: Assignment, logits: Logits
) -> Iterator[Written | Finished]:
    """Yield one answer, piece by piece, starting from the logits of the prompt.

    It ends without ``Finished`` if the caller has disconnected.

    Raises:
        EngineError: the engine failed.
    """
    index, most = assignment.index, assignment.sampling.max_tokens
    constraint = assignment.constraint
    sampler = Sampler(assignment.sampling, assignment.prompt, index)
    pieces = Pieces(assignment.sampling.stop)
    told = _Likelihoods(model, assignment.alternatives)
    reason: Literal["stop", "length"] = "length"
    count = 0
    while not assignment.is_cancelled():
        token = _next(sampler, logits, constraint)
        count += 1
        if token in model.end_ids:
            reason = "stop"
            break
        told.note(token, logits, pieces.read_characters)
        if text := pieces.feed(model.piece(token)):
            yield Written(index, text, told.up_to(pieces.given_characters))
        if pieces.stopped_by:
            yield Finished(index, "stop", count, pieces.stopped_by)
            return
        if count == most:
            break
        if constraint:
            constraint.accept(token)
        logits = model.advance(token)
    else:
        return
    text, tokens = pieces.end(), told.rest()
    if text or tokens:
        yield Written(index, text, tokens)
    yield Finished(index, reason, count)


def _next(sampler: Sampler, logits: Logits, constraint: Constraint | None) -> int:
    if constraint is None:
        return sampler.choose(logits)
    return sampler.choose(logits, constraint.allowed(), constraint.repeats_name)


class _Likelihoods:
    """The probabilities of tokens whose text was not yielded yet, if the request wants any.

    They are those of the model's own distribution, before its logits are changed.
    """

    def __init__(self, model: TokenModel, alternatives: int | None) -> None:
        self._model = model
        self._alternatives = alternatives
        self._waiting: deque[tuple[int, ChosenToken]] = deque()

    def note(self, token: int, logits: Logits, start: int) -> None:
        """Record a token whose text begins at this character."""
        if self._alternatives is None:
            return
        shift = log_probability(logits)

        def of(token_id: int) -> Likelihood:
            logprob = float(logits[token_id]) - shift
            return Likelihood(token_id, self._model.piece(token_id), logprob)

        others = [of(int(other)) for other in likeliest(logits, self._alternatives)]
        self._waiting.append((start, ChosenToken(of(token), others)))

    def up_to(self, characters: int) -> Sequence[ChosenToken]:
        """Return the tokens whose text begins before this character."""
        found = []
        while self._waiting and self._waiting[0][0] < characters:
            found.append(self._waiting.popleft()[1])
        return found

    def rest(self) -> Sequence[ChosenToken]:
        """Return the remaining tokens."""
        return [token for _, token in self._waiting]
