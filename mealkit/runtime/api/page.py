"""``/docs``: the kit's API as one page for people, made on the server.

It runs no script and loads nothing: its content policy forbids both.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from mealkit.errors import CATALOGUE
from mealkit.kit.model import Task
from mealkit.lock.model import Lock
from mealkit.runtime.api.about import limits
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.knowledge import KNOWLEDGE
from mealkit.runtime.api.offer import Offer, show_bounds
from mealkit.runtime.api.openapi import problems_by_status

_FOLDER = Path(__file__).parent
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_STYLE = (_FOLDER / "page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_TEMPLATE = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string((_FOLDER / "page.html.jinja").read_text("utf-8"))


def page(lock: Lock, offer: Offer, description: Mapping[str, Any], host: str) -> str:
    """Return the page; ``host`` is where the caller found the kit, for the examples."""
    address = f"http://{host}" if _HOST.fullmatch(host) else "http://127.0.0.1:8000"
    return _TEMPLATE.render(
        style=_STYLE,
        kit=lock.about,
        recipe=str(lock.recipe),
        model=lock.model,
        engine=lock.engine,
        address=address,
        endpoints=[_endpoint(item, offer, description, address) for item in offered(offer)],
        knowledge=KNOWLEDGE,
        prompts=[
            (name, prompt.variables, prompt.text) for name, prompt in sorted(lock.prompts.items())
        ],
        hyperparameters=[
            (name, _plain(value), _open(name, offer))
            for name, value in sorted(lock.hyperparameters.items())
        ],
        limits=[(name, value) for name, value in limits(lock, offer).items() if value is not None],
        problems=[
            (status, code, CATALOGUE[code])
            for status, codes in problems_by_status().items()
            for code in codes
        ],
        client=_client(offer, address),
    )


def _endpoint(
    endpoint: Endpoint, offer: Offer, description: Mapping[str, Any], address: str
) -> dict[str, Any]:
    body = json.dumps({"model": offer.model, **endpoint.example(offer)}, ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    schemas = description["components"]["schemas"]
    schema = schemas[endpoint.request.__name__]
    needed = schema.get("required", [])
    return {
        "path": endpoint.path,
        "summary": endpoint.summary,
        "streams": endpoint.event is not None,
        "curl": f"curl {address}{endpoint.path} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{quoted}'",
        "parameters": [
            (name, name in needed, _type(field, schemas), field.get("description", ""))
            for name, field in schema["properties"].items()
        ],
    }


def _type(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """Say in a word or two what a parameter may be."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return _plain(field["const"])
    if "enum" in field:
        return " | ".join(_plain(value) for value in field["enum"] if value is not None) or "null"
    if "anyOf" in field:
        words = [_type(way, schemas) for way in field["anyOf"] if way.get("type") != "null"]
        return " | ".join(dict.fromkeys(words))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), schemas)}"
    return f"{field.get('type', 'any')}{_range(field)}"


def _range(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if low is None and high is None:
        return ""
    opening = "above " if "exclusiveMinimum" in field else ""
    return f" {opening}{'' if low is None else low} to {'any' if high is None else high}"


def _open(name: str, offer: Offer) -> str:
    bounds = offer.overrides.get(name)
    if bounds is not None:
        return show_bounds(bounds)
    if name == "max_tokens":
        return "fewer"
    return "more of them" if name == "stop" else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _client(offer: Offer, address: str) -> str | None:
    """Write the call with OpenAI's client, where it has one for the task."""
    match offer.task:
        case Task.GENERATION if offered(offer) and offered(offer)[0].operation == "chat":
            call = (
                "answer = client.chat.completions.create(\n"
                f"    model={offer.model!r},\n"
                '    messages=[{"role": "user", "content": "Say hello."}],\n'
                ")\n"
                "print(answer.choices[0].message.content)"
            )
        case Task.GENERATION:
            call = (
                f"answer = client.completions.create(model={offer.model!r}, "
                'prompt="Once upon a time")\nprint(answer.choices[0].text)'
            )
        case Task.EMBEDDINGS:
            call = (
                f"answer = client.embeddings.create(model={offer.model!r}, "
                'input=["a first text"])\nprint(answer.data[0].embedding)'
            )
        case _:
            return None
    return (
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{address}/v1", api_key="the kit\'s key, or any text")\n{call}'
    )
