"""The JSON Schema of kit.yaml, from the models, in the common subset of 2020-12 and draft 7.

Editors use it to complete and check a kit; ``mealkit check`` also checks files and the engine.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from mealkit.recipe.kit import Kit

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def kit_schema() -> dict[str, Any]:
    """Return the schema of a kit, without the parts that the engines define."""
    return {"$schema": DIALECT, "title": "kit.yaml", **model_schema(Kit, "")}


def model_schema(model: type[BaseModel], prefix: str) -> dict[str, Any]:
    """Return a model's schema; the names of its definitions begin with ``prefix``."""
    schema = model.model_json_schema(
        ref_template=f"#/$defs/{prefix}{{model}}", schema_generator=_Generator
    )
    definitions = schema.pop("$defs", {})
    found: dict[str, Any] = _portable(schema)
    if definitions:
        found["$defs"] = {
            f"{prefix}{name}": _portable(value) for name, value in definitions.items()
        }
    return found


# ``discriminator`` is OpenAPI's; a generated ``title`` repeats the field's name.
_NOT_PORTABLE = frozenset({"title", "discriminator"})


def _portable(schema: Any) -> Any:
    """Return a schema without entries that editors do not support or would show twice."""
    match schema:
        case dict():
            found = {
                key: {name: _portable(item) for name, item in value.items()}
                if key == "properties"
                else _portable(value)
                for key, value in schema.items()
                if key not in _NOT_PORTABLE
            }
            if "patternProperties" in found:  # a name that matches no pattern is rejected
                found["additionalProperties"] = False
            return found
        case list():
            return [_portable(item) for item in schema]
        case _:
            return schema


class _Generator(GenerateJsonSchema):
    """Keeps pydantic's order of fields, which is the order of the models."""

    def sort(self, value: Any, parent_key: str | None = None) -> Any:  # noqa: ARG002
        """Return the schema unsorted."""
        return value
