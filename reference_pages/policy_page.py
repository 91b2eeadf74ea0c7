"""Writes the reference page of policy.yaml: every field with its type, default and meaning."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from mealkit.trust.policy import Policy, policy_schema
from reference_pages.kit_page import field_words, models_below

_ABOUT = """\
Fields in **bold** are required. An unknown field, a key that appears twice, and a value of the
wrong type are problems that name the line.

A machine's policies are `/etc/mealkit/policy.yaml`, `~/.config/mealkit/policy.yaml` (below
`XDG_CONFIG_HOME`, if it is set) and the file that `MEALKIT_POLICY` names. Every policy that exists
must accept an image. A policy that exists and cannot be read, or that another user can change,
refuses every image. [Set a policy](../how-to/set-a-policy.md) has examples.
"""


def policy_page() -> str:
    """Return the page."""
    schema = policy_schema()
    definitions = schema["$defs"]
    lines = ["# policy.yaml", "", _ABOUT, *plain_table(Policy, schema, definitions)]
    for model in models_below(Policy):
        lines += ["", f"## {model.__name__}", "", (model.__doc__ or "").strip(), ""]
        lines += plain_table(model, definitions[model.__name__], definitions)
    return "\n".join(lines) + "\n"


def plain_table(
    model: type[BaseModel], schema: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[str]:
    """Return the lines of the table of a model's fields."""
    yield from ("| field | value | meaning |", "|---|---|---|")
    required = schema.get("required", ())
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        is_required = name in required
        value, text = field_words(
            schema["properties"][name], field, definitions, is_required=is_required
        )
        title = f"**`{name}`**" if is_required else f"`{name}`"
        yield f"| {title} | {value} | {text} |"
