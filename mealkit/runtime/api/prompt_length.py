"""Room for the answer, where the engine would shorten an answer that does not fit without a word.

The prompt is then counted first, by the engine itself, unless it is so short that it surely fits.
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
"""Where the worker counts tokens."""

# A token stands for a byte of ASCII at least (other characters may become longer before they become
# tokens), but for those that a template adds: at most so many for each message, and by itself.
_TOKENS_OF_A_MESSAGE = 64
_TOKENS_OF_A_TEMPLATE = 2048


@dataclass(frozen=True, slots=True)
class LengthCheck:
    """What has to be counted before the engine is asked."""

    body: bytes
    """What the worker is asked at ``COUNTING_PATH``."""
    max_tokens: int
    limit_tokens: int
    where: str

    def require(self, counted: bytes) -> None:
        """Refuse a prompt that, as the worker counted it, leaves too little room.

        Raises:
            RequestError: ``REQUEST_TOO_LONG``, with the numbers.
            EngineError: ``ENGINE_ANSWER``, the worker did not count.
        """
        try:
            count = json.loads(counted)["count"]
        except (ValueError, KeyError, TypeError) as error:
            raise failure("ENGINE_ANSWER", "the engine does not count tokens") from error
        require_room(count, self.max_tokens, self.limit_tokens, self.where)


def length_check_of(served: ServedModel, body: Mapping[str, Any], where: str) -> LengthCheck | None:
    """Return what to count before a generation; None where nothing has to be.

    That is where the engine refuses by itself, or the prompt surely fits. ``where`` is the prompt's
    field in ``body``.
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
