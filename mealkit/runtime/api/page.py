"""``/docs``: the kit's API as one HTML page, rendered on the server.

The page has no scripts and loads no other files: its content security policy forbids both.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from mealkit.errors import CATALOGUE
from mealkit.recipe.kit import Task
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.about import limits
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.knowledge import KNOWLEDGE
from mealkit.runtime.api.openapi import problems_by_status
from mealkit.runtime.api.schema_words import Words, objects_of, plain, words_of
from mealkit.runtime.api.served_model import ServedModel, show_bounds

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_TEMPLATE = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string((_FOLDER / "page.html.jinja").read_text("utf-8"))


def page(lock: Lock, served: ServedModel, description: Mapping[str, Any], address: str) -> str:
    """Return the page; ``address`` is the address of the kit, for the examples."""
    return _TEMPLATE.render(
        style=_STYLE,
        kit=lock.about,
        recipe=str(lock.recipe),
        model=lock.model,
        engine=lock.engine,
        address=address,
        endpoints=[_endpoint(item, served, description, address) for item in offered(served)],
        objects=_objects(served, description),
        knowledge=KNOWLEDGE,
        prompts=[
            (name, prompt.variables, prompt.text) for name, prompt in sorted(lock.prompts.items())
        ],
        hyperparameters=[
            (name, plain(value), _open(name, served))
            for name, value in sorted(lock.hyperparameters.items())
        ],
        limits=[(name, value) for name, value in limits(lock, served).items() if value is not None],
        problems=[
            (status, code, CATALOGUE[code])
            for status, codes in problems_by_status().items()
            for code in codes
        ],
        client=_client(served, address),
    )


def _endpoint(
    endpoint: Endpoint, served: ServedModel, description: Mapping[str, Any], address: str
) -> dict[str, Any]:
    body = json.dumps(endpoint.example_of(served), ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    return {
        "path": endpoint.path,
        "summary": endpoint.summary,
        "streams": endpoint.event is not None,
        "curl": f"curl {address}{endpoint.path} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{quoted}'",
        "parameters": _fields(description["components"]["schemas"][endpoint.request.__name__]),
    }


def _objects(served: ServedModel, description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that requests contain, without the requests themselves."""
    schemas = description["components"]["schemas"]
    requests = [schemas[endpoint.request.__name__] for endpoint in offered(served)]
    return [
        {
            "name": name,
            "meaning": schemas[name].get("description", ""),
            "fields": _fields(schemas[name]),
        }
        for name in objects_of(requests, schemas)
    ]


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, bool, Words, str]]:
    needed = schema.get("required", [])
    return [
        (name, name in needed, words_of(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _open(name: str, served: ServedModel) -> str:
    bounds = served.overrides.get(name)
    if bounds is not None:
        return show_bounds(bounds)
    if name == "max_tokens":
        return "a smaller number"
    return "additional texts" if name == "stop" else ""


def _client(served: ServedModel, address: str) -> str | None:
    """Return a call with OpenAI's client; None if the client has none for the task."""
    match served.task:
        case Task.GENERATION if offered(served) and offered(served)[0].operation == "chat":
            call = (
                "answer = client.chat.completions.create(\n"
                f"    model={served.model!r},\n"
                '    messages=[{"role": "user", "content": "Say hello."}],\n'
                ")\n"
                "print(answer.choices[0].message.content)"
            )
        case Task.GENERATION:
            call = (
                f"answer = client.completions.create(model={served.model!r}, "
                'prompt="Once upon a time")\nprint(answer.choices[0].text)'
            )
        case Task.EMBEDDINGS:
            call = (
                f"answer = client.embeddings.create(model={served.model!r}, "
                'input=["a first text"])\nprint(answer.data[0].embedding)'
            )
        case _:
            return None
    return (
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{address}/v1", api_key="the kit\'s key, or any text")\n{call}'
    )
