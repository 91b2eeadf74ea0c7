"""The models of the answers, for the OpenAPI description. Engines may add fields.

The gateway does not check answers against these models.
"""

from typing import Any, Literal

from mealkit.runtime.api.reading import AnswerPart


class Usage(AnswerPart):
    """The number of tokens of a request and its answer."""

    prompt_tokens: int
    """The tokens of the request, special tokens included."""
    completion_tokens: int | None = None
    """The tokens of the answer."""
    total_tokens: int
    """The tokens of request and answer together."""


class TextUsage(AnswerPart):
    """The number of tokens of a request."""

    prompt_tokens: int
    """The tokens of the request, special tokens included."""
    total_tokens: int
    """The same number: only the request is counted."""


class AnswerMessage(AnswerPart):
    """The model's message."""

    role: Literal["assistant"]
    """The author of the message."""
    content: str | None = None
    """The text."""
    tool_calls: list[dict[str, Any]] | None = None
    """The tools that the model calls."""


class ChatChoice(AnswerPart):
    """One answer."""

    index: int
    """The number of the answer, from 0."""
    message: AnswerMessage
    """The model's message."""
    finish_reason: str
    """Why the answer ended: stop, length or tool_calls."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of the answer's tokens."""


class ChatAnswer(AnswerPart):
    """The answer to a conversation."""

    id: str
    """The answer's id."""
    object: Literal["chat.completion"]
    """The kind of answer."""
    created: int
    """When the answer was created, in seconds since 1970."""
    model: str
    """The model's name."""
    system_fingerprint: str
    """The first digits of the recipe digest: another recipe may answer differently."""
    choices: list[ChatChoice]
    """The answers."""
    usage: Usage
    """The number of tokens."""


class ChatDelta(AnswerPart):
    """The next piece of one answer."""

    index: int
    """The number of the answer, from 0."""
    delta: dict[str, Any]
    """The addition to the answer's message."""
    finish_reason: str | None = None
    """Why the answer ended; only in its last piece."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of the piece's tokens."""


class ChatChunk(AnswerPart):
    """An event of a stream; the last one is ``[DONE]``, or an error."""

    id: str
    """The answer's id."""
    object: Literal["chat.completion.chunk"]
    """The kind of answer."""
    created: int
    """When the answer was started, in seconds since 1970."""
    model: str
    """The model's name."""
    system_fingerprint: str
    """The first digits of the recipe digest: another recipe may answer differently."""
    choices: list[ChatDelta]
    """The next pieces of the answers; empty in the chunk that has the usage."""
    usage: Usage | None = None
    """The number of tokens, in the last chunk, if stream_options.include_usage is true."""


class CompletionChoice(AnswerPart):
    """One answer, or the next piece of it."""

    index: int
    """The number of the answer, from 0."""
    text: str
    """The text."""
    finish_reason: str | None = None
    """Why the answer ended: stop or length."""
    logprobs: dict[str, Any] | None = None
    """The log probabilities of the answer's tokens."""


class CompletionAnswer(AnswerPart):
    """The continuations of a text."""

    id: str
    """The answer's id."""
    object: Literal["text_completion"]
    """The kind of answer."""
    created: int
    """When the answer was created, in seconds since 1970."""
    model: str
    """The model's name."""
    system_fingerprint: str
    """The first digits of the recipe digest: another recipe may answer differently."""
    choices: list[CompletionChoice]
    """The answers."""
    usage: Usage
    """The number of tokens."""


class CompletionChunk(AnswerPart):
    """An event of a stream; the last one is ``[DONE]``, or an error."""

    id: str
    """The answer's id."""
    object: Literal["text_completion"]
    """The kind of answer."""
    created: int
    """When the answer was started, in seconds since 1970."""
    model: str
    """The model's name."""
    system_fingerprint: str
    """The first digits of the recipe digest: another recipe may answer differently."""
    choices: list[CompletionChoice]
    """The next pieces of the answers; empty in the chunk that has the usage."""
    usage: Usage | None = None
    """The number of tokens, in the last chunk, if stream_options.include_usage is true."""


class Embedding(AnswerPart):
    """One text's vector."""

    object: Literal["embedding"]
    """The kind of object."""
    index: int
    """The number of the text in the request, from 0."""
    embedding: list[float] | str
    """The vector: a list of numbers, or base64 of little-endian float32."""


class EmbeddingAnswer(AnswerPart):
    """The vectors of texts."""

    object: Literal["list"]
    """The kind of answer."""
    data: list[Embedding]
    """A vector for each text, in the order of the request."""
    model: str
    """The model's name."""
    usage: TextUsage
    """The number of tokens."""


class Ranked(AnswerPart):
    """How relevant one document is."""

    index: int
    """The number of the document in the request, from 0."""
    relevance_score: float
    """The score; higher is more relevant."""
    document: dict[str, str] | None = None
    """The document's text, if return_documents is true."""


class RerankAnswer(AnswerPart):
    """Documents, ranked by their relevance to a query."""

    id: str
    """The answer's id, derived from the request: the same request gets the same id."""
    object: Literal["list"]
    """The kind of answer."""
    model: str
    """The model's name."""
    results: list[Ranked]
    """The documents, best first; documents with equal scores in the order of the request."""
    usage: TextUsage
    """The number of tokens."""


class CohereAnswer(AnswerPart):
    """Documents, ranked by their relevance to a query, in Cohere's format."""

    id: str
    """The answer's id, derived from the request: the same request gets the same id."""
    results: list[Ranked]
    """The documents, best first; documents with equal scores in the order of the request."""
    meta: dict[str, Any]
    """The number of tokens, and the version of the format."""


class Classified(AnswerPart):
    """The labels of one text."""

    index: int
    """The number of the text in the request, from 0."""
    label: str
    """The most likely label."""
    probs: list[float]
    """The probability of each label, in the order of ``labels``."""
    num_classes: int
    """The number of labels."""


class ClassifyAnswer(AnswerPart):
    """The labels of texts."""

    object: Literal["list"]
    """The kind of answer."""
    model: str
    """The model's name."""
    data: list[Classified]
    """The labels of each text, in the order of the request."""
    labels: list[str]
    """The names of the labels."""
    usage: TextUsage
    """The number of tokens."""


class PredictAnswer(AnswerPart):
    """The output of the paper's code."""

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
    """The number of tokens."""
    max_model_len: int
    """The maximum number of tokens that the model accepts."""
    tokens: list[int]
    """The ids of the tokens."""


class DataViolation(AnswerPart):
    """A value that violates a rule of the kit's data contract."""

    field: str
    """The field of the request."""
    rule: str
    """The rule, such as length.maximum_tokens."""
    value: str
    """The value, shortened."""
    measured: str
    """The measured value."""
    required: str
    """What the contract requires."""


class OneProblem(AnswerPart):
    """One of several problems of a request."""

    code: str
    """The problem's code in mealkit's catalogue."""
    message: str
    """What is wrong."""
    param: str | None
    """The parameter that caused the problem."""
    where: str | None
    """The exact place of the problem, such as a field of the request."""
    owner: str
    """Who can solve the problem."""
    hint: str | None
    """What to do to solve the problem."""


class ErrorContent(AnswerPart):
    """A problem, with the owner who can solve it."""

    message: str
    """What is wrong."""
    type: str
    """OpenAI's error type, such as invalid_request_error."""
    code: str
    """OpenAI's code, if it has one for the problem; otherwise the same as ``mealkit_code``."""
    mealkit_code: str
    """The problem's code in mealkit's catalogue."""
    param: str | None
    """The parameter that caused the problem."""
    owner: Literal["kit-author", "platform", "hardware", "caller", "upstream"]
    """Who can solve the problem."""
    hint: str | None
    """What to do to solve the problem."""
    where: str | None
    """The exact place of the problem, such as a field of the request."""
    request_id: str
    """The request's id, which is also in the kit's log."""
    problems: list[OneProblem] | None = None
    """Each of a request's first ten problems, if it has several; the fields above are about the
    first one, and ``message`` names all of them."""
    violations: list[DataViolation] | None = None
    """The first violations of the kit's data contract, if it refuses the request."""


class ErrorAnswer(AnswerPart):
    """An error, in OpenAI's format."""

    error: ErrorContent
    """The problem."""
