"""Renders the page of a kit: how to try it, what it is, how it is, and its API.

The page is complete without scripts, except for trying the kit and for its current state. Scripts
and style are files: the content security policy allows none within the page. Every text that the
kit's author wrote is escaped, and its hidden characters are shown.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mealkit.errors import CATALOGUE
from mealkit.names import reveal
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.example_calls import calls
from mealkit.runtime.api.form_calls import form_calls
from mealkit.runtime.api.knowledge import KNOWLEDGE
from mealkit.runtime.api.openapi import problems_by_status
from mealkit.runtime.api.page_words import budget_rows, claim_rows, limit_rows, rule_rows
from mealkit.runtime.api.schema_words import Words, objects_of, plain, words_of
from mealkit.runtime.api.served_model import ServedModel, show_bounds

PARTS = Path(__file__).parent / "page_parts"
"""The folder of the templates, the scripts and the style."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def _shown(value: Any) -> Any:
    return reveal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_shown,
    loader=FileSystemLoader(PARTS),
)


def page(
    lock: Lock,
    served: ServedModel,
    description: Mapping[str, Any],
    address: str,
    *,
    needs_key: bool = False,
    ops: Operations | None = None,
) -> str:
    """Return the page; ``address`` is the address of the kit, for the examples."""
    return _TEMPLATES.get_template("page.html.jinja").render(
        needs_key=needs_key,
        kit=lock.about,
        recipe=str(lock.recipe),
        salt=str(lock.salt),
        model=lock.model,
        engine=lock.engine,
        endpoints=[
            _endpoint(item, served, description, address, needs_key=needs_key)
            for item in offered(served)
        ],
        objects=_objects(served, description),
        knowledge=KNOWLEDGE,
        claims=claim_rows(lock),
        cases=lock.cases,
        rules=rule_rows(lock),
        budgets=budget_rows(ops),
        prompts=[
            (name, prompt.variables, prompt.text) for name, prompt in sorted(lock.prompts.items())
        ],
        system_prompt=lock.system_prompt,
        hyperparameters=[
            (name, plain(value), _open(name, served))
            for name, value in sorted(lock.hyperparameters.items())
        ],
        limits=limit_rows(lock, served),
        problems=[
            (status, code, CATALOGUE[code])
            for status, codes in problems_by_status().items()
            for code in codes
        ],
    )


def door() -> str:
    """Return the page for callers without a key: a field for it, and nothing about the kit."""
    return _TEMPLATES.get_template("door.html.jinja").render()


def _endpoint(
    endpoint: Endpoint,
    served: ServedModel,
    description: Mapping[str, Any],
    address: str,
    *,
    needs_key: bool,
) -> dict[str, Any]:
    body = endpoint.example_of(served)
    schemas = description["components"]["schemas"]
    own = endpoint.operation == "predict" and "Input" in schemas
    return {
        "path": endpoint.path,
        "summary": endpoint.summary,
        "streams": endpoint.event is not None,
        "calls": (
            *(form_calls(endpoint.path, body, address, served, needs_key=needs_key) if own else ()),
            *calls(endpoint.path, body, address, needs_key=needs_key),
        ),
        "parameters": _fields(schemas[endpoint.request.__name__]),
        "about": description["paths"][endpoint.path]["post"]["description"] if own else "",
        "inputs": _input_rows(schemas["Input"]) if own else [],
        "output": _output(schemas["Output"]) if own else None,
    }


def _objects(served: ServedModel, description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that requests contain, without the requests themselves."""
    schemas = description["components"]["schemas"]
    requests = [schemas[endpoint.request.__name__] for endpoint in offered(served)]
    # The inputs and the output of the paper's code are described beside the call.
    given = [schemas[name] for name in ("Output",) if name in schemas]
    return [
        {
            "name": name,
            "meaning": schemas[name].get("description", ""),
            "fields": _fields(schemas[name]),
        }
        for name in objects_of([*requests, *given], schemas)
        if name not in {"Input", "Output"}
    ]


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, bool, Words, str]]:
    needed = schema.get("required", [])
    return [
        (name, name in needed, words_of(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _input_rows(schema: Mapping[str, Any]) -> list[tuple[str, bool, Words, str]]:
    """Return the inputs of the paper's code, with their defaults."""
    fields = schema.get("properties", {})
    rows = []
    for name, needed, words, meaning in _fields(schema):
        default = fields[name].get("default")
        said = "" if needed or default is None else f"{plain(default)} if left out."
        rows.append((name, needed, words, " ".join(filter(None, (meaning, said)))))
    return rows


def _output(schema: Mapping[str, Any]) -> tuple[Words, str, list[tuple[str, bool, Words, str]]]:
    """Return what the paper's code returns: in words, its meaning, and the fields of an object."""
    return words_of(schema), schema.get("description", ""), _fields(schema)


def _open(name: str, served: ServedModel) -> str:
    bounds = served.overrides.get(name)
    if bounds is not None:
        return show_bounds(bounds)
    if name == "max_tokens":
        return "a smaller number"
    return "additional texts" if name == "stop" else ""
