"""``POST /tokenize`` of a hosted worker: the tokens of a text or a chat, as its model sees them.

Standard library only. Path and shape are vLLM's (vllm/entrypoints/serve/tokenize).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mealkit.worker.endpoints.call import Call, Endpoint
from mealkit.worker.endpoints.chat_messages import read_messages
from mealkit.worker.endpoints.request import invalid, read_request, require_text
from mealkit.worker.generation_values import Message
from mealkit.worker.interface import GenerationWorker, TokenizingWorker

Chat = Callable[[Sequence[Message]], Sequence[int]]


def token_endpoints(
    worker: TokenizingWorker | GenerationWorker,
    model_name: str,
    max_length: int | None,
    chat: Chat | None = None,
) -> Mapping[str, Endpoint]:
    """Return what a worker that can tell tokens answers; ``chat``: how it tells those of a chat."""

    def tokenize(call: Call) -> bytes:
        values = read_request(call.body, ("messages", "prompt"), model_name)
        tokens = _tokens(values, worker.tokenize, chat)
        answer = {"count": len(tokens), "max_model_len": max_length, "tokens": list(tokens)}
        return json.dumps(answer).encode()

    return {"POST /tokenize": tokenize}


def _tokens(
    values: Mapping[str, Any], plain: Callable[[str], Sequence[int]], chat: Chat | None
) -> Sequence[int]:
    if ("messages" in values) == ("prompt" in values):
        raise invalid("give either prompt or messages", "prompt")
    if "prompt" in values:
        return plain(require_text(values["prompt"], "prompt", "prompt"))
    if chat is None:
        raise invalid("this model has no chats", "messages")
    return chat(read_messages(values))
