"""Lists all endpoints that use the engine, and those that a kit offers."""

from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.predict import PREDICT
from mealkit.runtime.api.rerank import RERANK, RERANK_COHERE
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.api.tokenize import TOKENIZE

ENDPOINTS: tuple[Endpoint, ...] = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    EMBEDDINGS,
    RERANK,
    RERANK_COHERE,
    CLASSIFY,
    PREDICT,
    TOKENIZE,
)


def offered(served: ServedModel) -> list[Endpoint]:
    """Return the endpoints that a kit offers; the gateway serves no others."""
    return [endpoint for endpoint in ENDPOINTS if endpoint.is_offered(served)]
