"""``POST /v1/rerank`` and ``/v2/rerank``: documents by how relevant they are to a query.

Refuses what would cut documents. The shapes are Jina's and vLLM's, and Cohere's:
https://docs.cohere.com/reference/rerank
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from mealkit.errors import failure
from mealkit.recipe.kit import Task
from mealkit.runtime.api.answer_models import CohereAnswer, RerankAnswer
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill_each, named_prompt
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, Request, body_of, read_request
from mealkit.runtime.api.served_model import ServedModel
from mealkit.untrusted import parse_json

PATH = "/v1/rerank"
COHERE_PATH = "/v2/rerank"

MAX_DOCUMENTS = 1000
"""As many as Cohere's API advises in one request; it bounds the time of an answer."""

RankedText = Annotated[str, StringConstraints(min_length=1)]


class Document(Request):
    """A document as an object."""

    text: RankedText
    """Its text."""


class RerankRequest(Request):
    """A query, and documents to rank."""

    model: str
    """The model's name."""
    query: RankedText
    """What is searched for."""
    documents: Annotated[
        list[RankedText | Document],
        Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True),
    ]
    """What is ranked; none is ever cut."""
    top_n: Annotated[int | None, Field(ge=1), WHOLE] = None
    """How many of the best are told; all, if it is left out."""
    return_documents: bool | None = None
    """Whether the texts are told too."""
    user: str | None = None
    """The caller's own mark of its end user. It is not used: it never changes an answer."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit that the query is put into, as its variable ``text``."""
    variables: Variables | None = None
    """A text for each other variable of the prompt that is named."""


_CUT = "documents are ranked whole, never in part"
_REFUSED: Mapping[str, RefusedParameter] = {
    "max_chunks_per_doc": RefusedParameter(_CUT),
    "max_tokens_per_doc": RefusedParameter(_CUT),
    "priority": RefusedParameter("all requests are served alike", (0,)),
    "rank_fields": RefusedParameter("documents have one field", (["text"],)),
}


def _prepare(values: dict[str, Any], served: ServedModel, *, as_cohere: bool) -> Asked:
    _refuse_many(values.get("documents"))
    asked = read_request(RerankRequest, values, _REFUSED)
    served.require_model(asked.model)
    texts = [item if isinstance(item, str) else item.text for item in asked.documents]
    [query] = fill_each(served, named_prompt(asked.prompt, asked.variables), [asked.query])
    # All of them are asked for: cutting the list is nothing that engines should differ in.
    body = body_of({"model": asked.model, "query": query, "documents": texts})
    told = texts if asked.return_documents else None
    shape = partial(_shape, asked_body=body, top_n=asked.top_n, texts=told, as_cohere=as_cohere)
    return Asked(PATH, body, shape=shape)


def _refuse_many(documents: Any) -> None:
    if isinstance(documents, list) and len(documents) > MAX_DOCUMENTS:
        message = f"documents has {len(documents)} texts, the limit is {MAX_DOCUMENTS}"
        raise failure("REQUEST_TOO_LARGE", message, where="documents")


def _shape(
    answer: bytes,
    *,
    asked_body: bytes,
    top_n: int | None,
    texts: list[str] | None,
    as_cohere: bool,
) -> bytes:
    try:
        given = parse_json(answer)
        results = [
            {
                "index": item["index"],
                "relevance_score": item["relevance_score"],
                **({"document": {"text": texts[item["index"]]}} if texts else {}),
            }
            for item in given["results"][:top_n]
        ]
        tokens = given["usage"]["total_tokens"]
        model = given["model"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        message = "the engine's answer is not a ranking"
        raise failure("ENGINE_ANSWER", message) from error
    name = f"rerank-{hashlib.sha256(asked_body).hexdigest()[:32]}"
    if as_cohere:
        meta = {"api_version": {"version": "2"}, "tokens": {"input_tokens": tokens}}
        return body_of({"id": name, "results": results, "meta": meta})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    form = {"id": name, "object": "list", "model": model, "results": results, "usage": usage}
    return body_of(form)


def _example(_served: ServedModel) -> dict[str, Any]:
    return {"query": "a question", "documents": ["a first answer", "a second one"], "top_n": 1}


RERANK = Endpoint(
    path=PATH,
    operation="rerank",
    summary="Rank documents by how relevant they are to a query",
    request=RerankRequest,
    answer=RerankAnswer,
    is_offered=lambda served: served.task is Task.RERANKING,
    prepare=partial(_prepare, as_cohere=False),
    example=_example,
    refusals=_REFUSED,
)

RERANK_COHERE = Endpoint(
    path=COHERE_PATH,
    operation="rerank",
    summary="The same, in the shape of Cohere's second API",
    request=RerankRequest,
    answer=CohereAnswer,
    is_offered=lambda served: served.task is Task.RERANKING,
    prepare=partial(_prepare, as_cohere=True),
    example=_example,
    refusals=_REFUSED,
)
