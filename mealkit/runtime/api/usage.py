"""Reads the number of tokens from an engine's answer, without parsing the rest of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The number of tokens of a request and of its answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """The tokens of request and answer together."""
        return self.prompt_tokens + self.completion_tokens


def usage_of(body: bytes) -> TokenUsage:
    """Return the tokens of an answer's ``usage``.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the answer has no usage.
    """
    # Quotes within a string are escaped, so the last match is the field itself.
    place = body.rfind(b'"usage"')
    tail = body[place + len(b'"usage"') :] if place >= 0 else b""
    try:
        form, _ = _DECODER.raw_decode(tail.decode().lstrip(" :"))
    except ValueError as error:
        raise failure("ENGINE_ANSWER", "the engine's answer has no usage") from error
    return usage_in(form)


def usage_in(form: Any) -> TokenUsage:
    """Return the tokens of a ``usage`` object.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the value is not a usage object.
    """
    if not isinstance(form, Mapping):
        raise failure("ENGINE_ANSWER", "the engine's answer has no usage")
    prompt, answer = form.get("prompt_tokens", 0), form.get("completion_tokens") or 0
    if type(prompt) is not int or type(answer) is not int:
        raise failure("ENGINE_ANSWER", f"the engine counted {prompt!r} and {answer!r} tokens")
    return TokenUsage(prompt, answer)


# json.loads would create a decoder for each answer.
_DECODER = json.JSONDecoder()
