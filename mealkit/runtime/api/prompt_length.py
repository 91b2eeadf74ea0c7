"""Checks that prompt and answer fit together, for engines that would truncate the answer silently.

The engine counts the prompt's tokens first, unless the prompt is so short that it certainly fits.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.runtime.api.reading import body_of
from mealkit.runtime.api.served_model import ServedModel
from mealkit.worker.measuring import require_room

COUNTING_PATH = "/tokenize"
"""The worker's endpoint that counts tokens."""

# Each token is at least one byte of ASCII text (other characters may become longer before they
# become tokens). A chat template adds at most this many tokens for each message, and in all.
_TOKENS_OF_A_MESSAGE = 64
_TOKENS_OF_A_TEMPLATE = 2048


@dataclass(frozen=True, slots=True)
class LengthCheck:
    """A prompt to count before the request is sent to the engine."""

    body: bytes
    """The body of the request to ``COUNTING_PATH``."""
    max_tokens: int
    limit_tokens: int
    where: str

    def require(self, counted: bytes) -> None:
        """Raise if the prompt, as the worker counted it, leaves too little space for the answer.

        Raises:
            RequestError: ``REQUEST_TOO_LONG``, with the numbers.
            EngineError: ``ENGINE_ANSWER``, the worker's answer has no count.
        """
        try:
            count = json.loads(counted)["count"]
        except (ValueError, KeyError, TypeError) as error:
            raise failure("ENGINE_ANSWER", "the engine does not count tokens") from error
        require_room(count, self.max_tokens, self.limit_tokens, self.where)


def length_check_of(served: ServedModel, body: Mapping[str, Any], where: str) -> LengthCheck | None:
    """Return the prompt to count before a generation; None if no count is needed.

    None if the engine itself rejects prompts that are too long, or if the prompt certainly fits.
    ``where`` is the prompt's field in ``body``.
    """
    limit = served.hyperparameters.get("max_length")
    if not served.shortens_answers or not isinstance(limit, int):
        return None
    asked = {name: body[name] for name in ("model", where, "tools") if name in body}
    counted = body_of(asked)
    messages = len(body.get("messages", ()))
    most = len(counted) + messages * _TOKENS_OF_A_MESSAGE + _TOKENS_OF_A_TEMPLATE
    if counted.isascii() and most + body["max_tokens"] <= limit:
        return None
    return LengthCheck(counted, body["max_tokens"], limit, where)
