"""A chat to the text that the model reads, by a jinja2 template in a sandbox.

The environment is the one that transformers gives to chat templates
(https://huggingface.co/docs/transformers/chat_templating), without what makes two renderings
differ: no clock (``strftime_now``), no random choice. Refuses templates that do not compile.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mealkit.engines.generation_values import Message
from mealkit.errors import failure


class ChatTemplate:
    """One compiled template; may be used from several threads at once."""

    def __init__(self, source: str, special_tokens: Mapping[str, str], where: str) -> None:
        """Compile a template.

        Raises:
            EngineError: ``ENGINE_START``, it does not compile.
        """
        environment = _environment()
        try:
            names = meta.find_undeclared_variables(environment.parse(source))
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            message = f"the chat template cannot be compiled: {error}"
            raise failure("ENGINE_START", message, where=where) from error
        self._special_tokens = dict(special_tokens)
        self._where = where
        self.takes_tools = "tools" in names
        """Whether it says anything of the functions that the model may call."""

    def render(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> str:
        """Return the text, up to where the answer begins.

        Raises:
            RequestError: ``REQUEST_INVALID``, the template refuses these messages.
            EngineError: ``ENGINE_ANSWER``, the template fails.
        """
        shaped = [_as_templates_expect(message) for message in messages]
        try:
            return self._template.render(
                **self._special_tokens,
                messages=shaped,
                tools=tools,
                documents=None,
                add_generation_prompt=True,
            )
        except _RefusedError as error:
            message = f"the chat template refuses the messages: {error}"
            raise failure("REQUEST_INVALID", message, where="messages") from error
        except Exception as error:  # a template can raise whatever Python can
            message = f"the chat template fails: {type(error).__name__}: {error}"
            raise failure("ENGINE_ANSWER", message, where=self._where) from error


class _RefusedError(Exception):
    """A template has called ``raise_exception``."""


class _Generation(Extension):
    """``{% generation %}``: marks what a model was trained to say; the content stands."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    # Both draw at random.
    del environment.filters["random"]
    del environment.globals["lipsum"]
    return environment


def _refuse(message: object) -> NoReturn:
    raise _RefusedError(message)


def _tojson(  # transformers' signature, which templates call
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Write JSON for a model: jinja2's own filter would escape it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _as_templates_expect(message: Message) -> dict[str, Any]:
    """Give the content as one text, and the arguments of tool calls as objects."""
    content = message.get("content")
    if content is None:
        content = ""
    elif not isinstance(content, str):
        content = "\n".join(part["text"] for part in content)
    shaped = {**message, "content": content}
    if message.get("tool_calls"):
        shaped["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _object_of(call["function"])}}
            for call in message["tool_calls"]
        ]
    return shaped


def _object_of(function: Mapping[str, Any]) -> Any:
    try:
        return json.loads(function["arguments"])
    except ValueError as error:
        message = f"the arguments of {function['name']!r} are not JSON: {error}"
        raise failure("REQUEST_INVALID", message, where="messages") from error
