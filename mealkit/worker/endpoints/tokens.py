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
from mealkit.worker.interface import DetokenizingWorker, GenerationWorker, TokenizingWorker

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


def text_of(worker: DetokenizingWorker, tokens: Sequence[int], where: str) -> str:
    """Return the text that has exactly these tokens, special ones included.

    Numbers of another tokenizer have a text, too, but not its tokens around it: other models do not
    begin or end a text with the numbers that this one does.

    Raises:
        RequestError: ``REQUEST_INVALID``, there is no such text.
    """
    text = worker.detokenize(tokens)
    is_marked = bool(tokens) and "" in (
        worker.detokenize(tokens[:1]),
        worker.detokenize(tokens[-1:]),
    )
    # Some tokenizers put a space before the first word.
    for candidate in (text, text.removeprefix(" ")):
        if is_marked and candidate and list(worker.tokenize(candidate)) == list(tokens):
            return candidate
    message = f"{where} is not what this kit's /v1/tokenize returns for a text"
    hint = "send the text itself (LangChain: check_embedding_ctx_length=False)"
    raise failure("REQUEST_INVALID", message, where=where, hint=hint)


def _text_or_messages(values: Mapping[str, Any]) -> str | Sequence[Message]:
    return typed(values["prompt"], str) if "prompt" in values else messages_of(values)
