"""``POST /tokenize`` of a hosted worker: the tokens of a text or a chat, as the model gets them.

Standard library only. Path and format are vLLM's (vllm/entrypoints/serve/tokenize).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.chat_messages import messages_of
from mealkit.worker.endpoints.request import EndpointCall, WorkerEndpoint, read_request, typed
from mealkit.worker.generation_values import Message
from mealkit.worker.interface import GenerationWorker, TokenizingWorker

Chat = Callable[[Sequence[Message]], Sequence[int]]


def token_endpoints(
    worker: TokenizingWorker | GenerationWorker,
    max_length: int | None,
    chat: Chat | None = None,
) -> Mapping[str, WorkerEndpoint]:
    """Return the endpoints of a worker that tokenizes; ``chat`` returns the tokens of a chat."""

    def tokenize(call: EndpointCall) -> bytes:
        asked = read_request(call.body, _text_or_messages)
        if isinstance(asked, str):
            tokens = worker.tokenize(asked)
        elif chat is None:
            raise failure("REQUEST_INVALID", "this model does not support chats", where="messages")
        else:
            tokens = chat(asked)
        answer = {"count": len(tokens), "max_model_len": max_length, "tokens": list(tokens)}
        return json.dumps(answer).encode()

    return {"POST /tokenize": tokenize}


def _text_or_messages(values: Mapping[str, Any]) -> str | Sequence[Message]:
    return typed(values["prompt"], str) if "prompt" in values else messages_of(values)
