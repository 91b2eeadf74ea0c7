"""``POST /v1/rerank`` and ``/v2/rerank``: rank documents by their relevance to a query.

Raises RequestError for parameters that would truncate documents. The formats are that of Jina and
vLLM, and Cohere's:
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
from mealkit.runtime.api.contract_inputs import with_variables
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill_each, named_prompt
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, Request, body_of, read_request
from mealkit.runtime.api.served_model import ServedModel
from mealkit.untrusted import parse_json

PATH = "/v1/rerank"
COHERE_PATH = "/v2/rerank"

MAX_DOCUMENTS = 1000
"""Cohere's recommended limit of documents per request; it limits the time of an answer."""

RankedText = Annotated[str, StringConstraints(min_length=1)]


class Document(Request):
    """A document as an object."""

    text: RankedText
    """The document's text."""


class RerankRequest(Request):
    """A query, and documents to rank."""

    model: str
    """The model's name."""
    query: RankedText
    """The query to rank documents for."""
    documents: Annotated[
        list[RankedText | Document],
        Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True),
    ]
    """The documents to rank. They are never truncated."""
    top_n: Annotated[int | None, Field(ge=1), WHOLE] = None
    """The number of best documents to return; all, if omitted."""
    return_documents: bool | None = None
    """Whether the answer includes the documents' texts."""
    user: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit to apply to the query, which becomes its variable ``text``."""
    variables: Variables | None = None
    """A text for each of the prompt's other variables."""


_CUT = "documents are never truncated"
_REFUSED: Mapping[str, RefusedParameter] = {
    "max_chunks_per_doc": RefusedParameter(_CUT),
    "max_tokens_per_doc": RefusedParameter(_CUT),
    "priority": RefusedParameter("all requests have the same priority", (0,)),
    "rank_fields": RefusedParameter("documents have only the field text", (["text"],)),
}


def _prepare(values: dict[str, Any], served: ServedModel, *, as_cohere: bool) -> Asked:
    _refuse_many(values.get("documents"))
    asked = read_request(RerankRequest, values, _REFUSED)
    served.require_model(asked.model)
    texts = [item if isinstance(item, str) else item.text for item in asked.documents]
    prompt = named_prompt(asked.prompt, asked.variables)
    [query] = fill_each(served, prompt, [asked.query])
    # The engine ranks all documents and the gateway applies top_n, so that engines do not differ.
    body = body_of({"model": asked.model, "query": query, "documents": texts})
    told = texts if asked.return_documents else None
    shape = partial(_shape, asked_body=body, top_n=asked.top_n, texts=told, as_cohere=as_cohere)
    given = {"query": asked.query, "documents": values["documents"]}
    inputs = with_variables(given, prompt.variables if prompt else {})
    return Asked(
        PATH,
        body,
        repeated_bytes=(len(texts) - 1) * len(query.encode()),
        shape=shape,
        inputs=inputs,
        prompt=prompt.name if prompt else "",
    )


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
    summary="Rank documents by their relevance to a query",
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
    summary="Rank documents, in the format of Cohere's API version 2",
    request=RerankRequest,
    answer=CohereAnswer,
    is_offered=lambda served: served.task is Task.RERANKING,
    prepare=partial(_prepare, as_cohere=True),
    example=_example,
    refusals=_REFUSED,
)
