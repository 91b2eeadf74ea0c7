"""The type of an input that is a text or a list of them; its content is checked by the endpoint."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from mealkit.worker.endpoints.embedding import MAX_INPUTS

_TEXT = {"type": "string", "minLength": 1}

# Checked by hand: pydantic would name both alternatives for each mistake in one of them.
Texts = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_INPUTS},
            ]
        }
    ),
]
