"""Lowers max_tokens to what the context has left, for engines that may refuse a larger one.

The engine counts the prompt's tokens first, unless the prompt is so short that it certainly fits.
"""

import json
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.runtime.api.reading import body_of
from mealkit.runtime.api.served_model import ServedModel
from mealkit.worker.measuring import room_for_answer

COUNTING_PATH = "/tokenize"
"""The worker's endpoint that counts tokens."""

# Each token is at least one byte of ASCII text (other characters may become longer before they
# become tokens). A chat template adds at most this many tokens for each message, and in all.
_TOKENS_OF_A_MESSAGE = 64
_TOKENS_OF_A_TEMPLATE = 2048
# The fields that change the prompt's tokens.
_SHAPING = ("tools", "add_special_tokens", "add_generation_prompt", "continue_final_message")
# The end of a body, as ``body_of`` writes it.
_LAST = b'"max_tokens":%d}'


@dataclass(frozen=True, slots=True)
class LengthCheck:
    """A prompt to count before the request is sent to the engine."""

    body: bytes
    """The body of the request to ``COUNTING_PATH``."""
    max_tokens: int
    limit_tokens: int
    where: str

    def fitted(self, body: bytes, counted: bytes) -> bytes:
        """Return a request's body with a ``max_tokens`` that fits, from the count of the prompt.

        Raises:
            RequestError: ``REQUEST_TOO_LONG``, the prompt leaves no token for the answer.
            EngineError: ``ENGINE_ANSWER``, the worker's answer has no count.
        """
        room = room_for_answer(count_of(counted), self.max_tokens, self.limit_tokens, self.where)
        return body.removesuffix(_LAST % self.max_tokens) + _LAST % room


def count_of(counted: bytes) -> int:
    """Return the number of tokens in the worker's answer.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the answer has no count.
    """
    try:
        return int(json.loads(counted)["count"])
    except (ValueError, KeyError, TypeError) as error:
        raise failure("ENGINE_ANSWER", "the engine does not count tokens") from error


def length_check_of(served: ServedModel, body: dict[str, Any], where: str) -> LengthCheck | None:
    """Return the prompt to count before a generation; None if no count is needed.

    None if the engine itself shortens answers to the context, or if the prompt certainly fits.
    ``where`` is the prompt's field in ``body``. If a count is needed, ``max_tokens`` becomes the
    last field of ``body``, where ``fitted`` replaces it.
    """
    limit = served.hyperparameters.get("max_length")
    if not served.requires_room or not isinstance(limit, int):
        return None
    asked = {name: body[name] for name in ("model", where, *_SHAPING) if name in body}
    counted = body_of(asked)
    messages = len(body.get("messages", ()))
    most = len(counted) + messages * _TOKENS_OF_A_MESSAGE + _TOKENS_OF_A_TEMPLATE
    if counted.isascii() and most + body["max_tokens"] <= limit:
        return None
    body["max_tokens"] = max_tokens = body.pop("max_tokens")
    return LengthCheck(counted, max_tokens, limit, where)
