"""Writes an example request as a call: for curl, for Python and for JavaScript. No I/O.

Characters that a reader would not see are written as escapes, so a call does what it shows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.names import hidden_character

KEY_VARIABLE = "MEALKIT_API_KEY"
"""The environment variable from which the calls take the key."""

# The calls of OpenAI's client, and the parameters that each has arguments for.
_SAMPLING = frozenset(
    {"model", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n",
     "presence_penalty", "frequency_penalty", "logit_bias", "user"}
)  # fmt: skip
_CLIENT_CALLS: Mapping[str, tuple[str, frozenset[str], str]] = {
    "/v1/chat/completions": (
        "chat.completions.create",
        _SAMPLING | {"messages", "response_format", "tools", "tool_choice"},
        "answer.choices[0].message.content",
    ),
    "/v1/completions": (
        "completions.create",
        _SAMPLING | {"prompt"},
        "answer.choices[0].text",
    ),
    "/v1/responses": (
        "responses.create",
        frozenset({"model", "input", "instructions", "temperature", "top_p", "max_output_tokens"}),
        "answer.output_text",
    ),
    "/v1/embeddings": (
        "embeddings.create",
        frozenset({"model", "input", "dimensions", "encoding_format", "user"}),
        "answer.data[0].embedding",
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call in one language."""

    language: str
    text: str


def calls(path: str, body: Mapping[str, Any], address: str, *, needs_key: bool) -> tuple[Call, ...]:
    """Return the calls for a request; ``address`` is the kit's, without a slash at its end."""
    return (
        Call("curl", _curl(address + path, body, needs_key=needs_key)),
        *(
            [Call("Python, with openai", _openai(path, body, address, needs_key=needs_key))]
            if path in _CLIENT_CALLS
            else []
        ),
        Call("Python, without packages", _urllib(address + path, body, needs_key=needs_key)),
        Call("JavaScript", _fetch(address + path, body, needs_key=needs_key)),
    )


def _curl(url: str, body: Mapping[str, Any], *, needs_key: bool) -> str:
    quoted = json_text(body).replace("'", "'\\''")
    key = f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n' if needs_key else ""
    return f"curl {url} \\\n{key}  -H 'Content-Type: application/json' \\\n  -d '{quoted}'"


def _openai(path: str, body: Mapping[str, Any], address: str, *, needs_key: bool) -> str:
    function, known, answer = _CLIENT_CALLS[path]
    # The client has no argument for what OpenAI's API does not have, such as a named prompt.
    own = {name: value for name, value in body.items() if name not in known or _is_named(value)}
    arguments = [f"    {name}={value!r}," for name, value in body.items() if name not in own]
    # The argument is required, but the kit takes the text from its own prompt.
    if path == "/v1/chat/completions" and "messages" not in body:
        arguments.append("    messages=None,")
    if path == "/v1/completions" and "prompt" in own:
        arguments.append('    prompt="",')
    if own:
        arguments.append(f"    extra_body={own!r},")
    lines = [
        *(["import os", ""] if needs_key else []),
        "from openai import OpenAI",
        "",
        f'client = OpenAI(base_url="{address}/v1", api_key={_python_key(needs_key=needs_key)})',
        f"answer = client.{function}(",
        *arguments,
        ")",
        f"print({answer})",
    ]
    return "\n".join(lines)


def _is_named(value: Any) -> bool:
    """Return whether a value names a prompt of the kit, with its variables."""
    return isinstance(value, dict) and "name" in value


def _urllib(url: str, body: Mapping[str, Any], *, needs_key: bool) -> str:
    key = f', "Authorization": "Bearer " + os.environ["{KEY_VARIABLE}"]' if needs_key else ""
    lines = [
        "import json",
        *(["import os"] if needs_key else []),
        "import urllib.request",
        "",
        f"body = {dict(body)!r}",
        f'headers = {{"Content-Type": "application/json"{key}}}',
        f'request = urllib.request.Request("{url}", json.dumps(body).encode(), headers)',
        "with urllib.request.urlopen(request) as answer:",
        "    print(json.load(answer))",
    ]
    return "\n".join(lines)


def _fetch(url: str, body: Mapping[str, Any], *, needs_key: bool) -> str:
    key = f', "Authorization": `Bearer ${{process.env.{KEY_VARIABLE}}}`' if needs_key else ""
    lines = [
        f'const answer = await fetch("{url}", {{',
        '  method: "POST",',
        f'  headers: {{"Content-Type": "application/json"{key}}},',
        f"  body: JSON.stringify({json_text(body)}),",
        "});",
        "console.log(await answer.json());",
    ]
    return "\n".join(lines)


def _python_key(*, needs_key: bool) -> str:
    return f'os.environ["{KEY_VARIABLE}"]' if needs_key else '"not needed"'


def json_text(body: Mapping[str, Any]) -> str:
    """Return an object as JSON whose hidden characters are escapes.

    Python's own notation has them, too.
    """
    text = json.dumps(body, ensure_ascii=False)
    if hidden_character(text) is None:
        return text
    return "".join(
        json.dumps(character)[1:-1] if hidden_character(character) else character
        for character in text
    )
