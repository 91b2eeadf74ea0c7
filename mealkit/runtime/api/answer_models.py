"""What endpoints answer, as OpenAPI describes it. Engines may add to it; nothing is checked."""

from typing import Any, Literal

from mealkit.runtime.api.reading import AnswerPart


class Usage(AnswerPart):
    """The tokens of a request and its answer."""

    prompt_tokens: int
    """Those of the request, special tokens included."""
    completion_tokens: int | None = None
    """Those of the answer."""
    total_tokens: int
    """All of them."""


class TextUsage(AnswerPart):
    """The tokens of a request."""

    prompt_tokens: int
    """Those of the request, special tokens included."""
    total_tokens: int
    """The same."""


class AnswerMessage(AnswerPart):
    """What the model says."""

    role: Literal["assistant"]
    """Who speaks."""
    content: str | None = None
    """The text."""
    tool_calls: list[dict[str, Any]] | None = None
    """The tools that it calls."""


class ChatChoice(AnswerPart):
    """One answer."""

    index: int
    """Which one."""
    message: AnswerMessage
    """What the model says."""
    finish_reason: str
    """Why it ended: stop, length or tool_calls."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of its tokens."""


class ChatAnswer(AnswerPart):
    """The answer to a conversation."""

    id: str
    """The answer's name."""
    object: Literal["chat.completion"]
    """The kind of answer."""
    created: int
    """When it was made, in seconds since 1970."""
    model: str
    """The model's name."""
    choices: list[ChatChoice]
    """The answers."""
    usage: Usage
    """The tokens."""


class ChatDelta(AnswerPart):
    """More of one answer."""

    index: int
    """Which one."""
    delta: dict[str, Any]
    """What is added to its message."""
    finish_reason: str | None = None
    """Why it ended, in its last piece."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of the piece's tokens."""


class ChatChunk(AnswerPart):
    """An event of a stream; the last one is ``[DONE]``, or an error."""

    id: str
    """The answer's name."""
    object: Literal["chat.completion.chunk"]
    """The kind of answer."""
    created: int
    """When the answer was begun, in seconds since 1970."""
    model: str
    """The model's name."""
    choices: list[ChatDelta]
    """More of the answers; none in the chunk that counts the tokens."""
    usage: Usage | None = None
    """The tokens, if they were asked for, in the last chunk."""


class CompletionChoice(AnswerPart):
    """One answer, or more of it."""

    index: int
    """Which one."""
    text: str
    """The text."""
    finish_reason: str | None = None
    """Why it ended: stop or length."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of its tokens."""


class CompletionAnswer(AnswerPart):
    """How a text goes on."""

    id: str
    """The answer's name."""
    object: Literal["text_completion"]
    """The kind of answer."""
    created: int
    """When it was made, in seconds since 1970."""
    model: str
    """The model's name."""
    choices: list[CompletionChoice]
    """The answers."""
    usage: Usage
    """The tokens."""


class CompletionChunk(AnswerPart):
    """An event of a stream; the last one is ``[DONE]``, or an error."""

    id: str
    """The answer's name."""
    object: Literal["text_completion"]
    """The kind of answer."""
    created: int
    """When the answer was begun, in seconds since 1970."""
    model: str
    """The model's name."""
    choices: list[CompletionChoice]
    """More of the answers; none in the chunk that counts the tokens."""
    usage: Usage | None = None
    """The tokens, if they were asked for, in the last chunk."""


class Embedding(AnswerPart):
    """One text's vector."""

    object: Literal["embedding"]
    """The kind of part."""
    index: int
    """Which text."""
    embedding: list[float] | str
    """The numbers, or base64 of them as little-endian float32."""


class EmbeddingAnswer(AnswerPart):
    """The vectors of texts."""

    object: Literal["list"]
    """The kind of answer."""
    data: list[Embedding]
    """A vector for each text, in order."""
    model: str
    """The model's name."""
    usage: TextUsage
    """The tokens."""


class Ranked(AnswerPart):
    """How relevant one document is."""

    index: int
    """Which document."""
    relevance_score: float
    """The more, the more relevant."""
    document: dict[str, str] | None = None
    """Its text, if it was asked for."""


class RerankAnswer(AnswerPart):
    """Documents by how relevant they are to a query, best first."""

    id: str
    """The answer's name: made of the request, so that the same request has the same."""
    object: Literal["list"]
    """The kind of answer."""
    model: str
    """The model's name."""
    results: list[Ranked]
    """The documents, best first; of equals, the one that was given first."""
    usage: TextUsage
    """The tokens."""


class CohereAnswer(AnswerPart):
    """Documents by how relevant they are to a query, best first, in Cohere's shape."""

    id: str
    """The answer's name: made of the request, so that the same request has the same."""
    results: list[Ranked]
    """The documents, best first; of equals, the one that was given first."""
    meta: dict[str, Any]
    """The tokens, and the version of the shape."""


class Classified(AnswerPart):
    """The labels of one text."""

    index: int
    """Which text."""
    label: str
    """The likeliest label."""
    probs: list[float]
    """The probability of each label, in the order of ``labels``."""
    num_classes: int
    """How many labels there are."""


class ClassifyAnswer(AnswerPart):
    """The labels of texts."""

    object: Literal["list"]
    """The kind of answer."""
    model: str
    """The model's name."""
    data: list[Classified]
    """Each text's labels, in order."""
    labels: list[str]
    """The names of the labels."""
    usage: TextUsage
    """The tokens."""


class PredictAnswer(AnswerPart):
    """What the paper's code gives."""

    object: Literal["prediction"]
    """The kind of answer."""
    model: str
    """The model's name."""
    output: Any
    """The output."""


class PredictPiece(AnswerPart):
    """An event of a stream; the last one is ``[DONE]``, or an error."""

    output: Any
    """A piece of the output."""


class TokenizeAnswer(AnswerPart):
    """The tokens of a text."""

    count: int
    """How many."""
    max_model_len: int
    """The most tokens that the model takes."""
    tokens: list[int]
    """Their numbers."""


class ErrorContent(AnswerPart):
    """A problem, with who can make it go away."""

    message: str
    """What is wrong."""
    type: str
    """OpenAI's class of errors."""
    code: str
    """The problem's code in mealkit's catalogue."""
    param: str | None
    """The parameter that it is about."""
    owner: Literal["kit-author", "platform", "hardware", "caller", "upstream"]
    """Who can make it go away."""
    hint: str | None
    """What to do about it."""
    where: str | None
    """Where exactly it is."""
    request_id: str
    """The request's id, which the kit's log names too."""


class ErrorAnswer(AnswerPart):
    """Every error, in OpenAI's shape."""

    error: ErrorContent
    """The problem."""
