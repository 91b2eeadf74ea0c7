"""Renders a chat as the model's input text, with a jinja2 template in a sandbox.

The environment is the one that transformers gives to chat templates
(https://huggingface.co/docs/transformers/chat_templating), without functions that make two
renderings differ: no clock (``strftime_now``), no random choice. The weights' author wrote the
template, so it is untrusted: rendering has a budget, and compiling does not evaluate it. Raises
EngineError for templates that do not compile.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from mealkit.errors import MealkitError, failure
from mealkit.templating.environment import BoundedEnvironment, BoundedTemplate
from mealkit.templating.filters import charged, json_charge
from mealkit.templating.meter import CostMeter, TooCostlyError, spend
from mealkit.templating.operators import written
from mealkit.templating.parsing import TemplateRefusedError, parse
from mealkit.templating.variables import names_taken
from mealkit.templating.weight import weigh
from mealkit.untrusted import parse_json
from mealkit.worker.generation.template_roles import TemplateRoles
from mealkit.worker.generation_values import Message, PromptEnd

WORK = 100_000_000
"""The limit of work for one rendering: about a second, during which other threads also run."""
MEMORY_BYTES = 512 * 1024 * 1024
"""The limit of memory for one rendering, including temporary values."""
# If the messages are at most this long, the template causes the cost, not the caller.
_SMALL_CHARACTERS = 16 * 1024
_SHOWN = 1000


# Marks the end of a message to continue: private characters, which no template looks for.
_CUT = "\ue0c7\ue0d8"


class ChatTemplate:
    """One compiled template; may be used from several threads at once."""

    def __init__(self, source: str, special_tokens: Mapping[str, str], where: str) -> None:
        """Compile a template.

        Raises:
            EngineError: ``ENGINE_START``, the template does not compile.
        """
        environment = _environment()
        try:
            tree = parse(environment, source)
            names = names_taken(tree, environment.globals)
            self._template = BoundedTemplate(environment, tree)
        except TemplateRefusedError as error:
            line = "" if error.line is None else f" (line {error.line})"
            message = f"the chat template cannot be compiled: {error}{line}"
            raise failure("ENGINE_START", message, where=where) from error
        self._special_tokens = dict(special_tokens)
        self._where = where
        self._roles = TemplateRoles(self._probe)
        self.takes_tools = "tools" in names
        """Whether the template uses the functions that the model may call."""

    def readable(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages in roles and at places where the template writes them.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the template writes nothing for a message.
        """
        return self._roles.readable(messages)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        end: PromptEnd = PromptEnd.ANSWER,
    ) -> str:
        """Return the text up to the start of the answer, or as far as ``end`` says.

        Raises:
            RequestError: ``REQUEST_INVALID``, the template rejects these messages;
                ``REQUEST_UNSUPPORTED``, it writes nothing for one of them;
                ``REQUEST_TOO_LARGE``, they exceed the limits of a rendering.
            EngineError: ``ENGINE_ANSWER``, the template fails; ``TEMPLATE_COST``.
        """
        shaped = [_as_templates_expect(message) for message in self.readable(messages)]
        if end is PromptEnd.WITHIN_LAST:
            shaped = [*shaped[:-1], {**shaped[-1], "content": f"{shaped[-1]['content']}{_CUT}"}]
        opens = end is PromptEnd.ANSWER
        try:
            text = self._text(shaped, tools, opens_answer=opens)
        except _RefusedError as error:
            message = f"the chat template refuses the messages: {error}"
            raise failure("REQUEST_INVALID", message, where="messages") from error
        if end is not PromptEnd.WITHIN_LAST:
            return text
        before, found, _ = text.rpartition(_CUT)
        if not found:
            message = "the chat template does not write the last message, which is to be continued"
            raise failure("REQUEST_UNSUPPORTED", message, where="continue_final_message")
        return before

    def _text(
        self,
        shaped: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        *,
        opens_answer: bool,
    ) -> str:
        values = {
            **self._special_tokens,
            "messages": shaped,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": opens_answer,
        }
        try:
            return self._template.render(values, CostMeter(WORK, MEMORY_BYTES))
        except TooCostlyError as error:
            raise self._too_costly(shaped, tools) from error
        except _RefusedError:
            raise
        except Exception as error:  # a template can raise any exception
            said = str(error)[:_SHOWN]
            message = f"the chat template fails: {type(error).__name__}: {said}"
            raise failure("ENGINE_ANSWER", message, where=self._where) from error

    def _probe(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None
    ) -> str | None:
        try:
            return self._text(messages, tools, opens_answer=True)
        except (_RefusedError, MealkitError):
            return None

    def _too_costly(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
    ) -> MealkitError:
        characters = len(json.dumps([messages, tools], ensure_ascii=False))
        takes = "the chat template takes too much time or memory"
        if characters > _SMALL_CHARACTERS:
            message = f"{takes}, for {characters} characters of messages and tools"
            return failure("REQUEST_TOO_LARGE", message, where="messages")
        return failure("TEMPLATE_COST", takes, where=self._where)


class _RefusedError(Exception):
    """A template has called ``raise_exception``."""


class _Generation(Extension):
    """``{% generation %}``: marks the model's text for training; rendered like its content."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> BoundedEnvironment:
    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = charged(_tojson, _charge_json)
    environment.allow("raise_exception", _refuse)
    return environment


def _refuse(message: object) -> NoReturn:
    raise _RefusedError(str(written(message))[:_SHOWN])


def _charge_json(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    json_charge(value, args[1] if len(args) > 1 else kwargs.get("indent"))
    between = args[2] if len(args) > 2 else kwargs.get("separators")
    if between is not None:
        size = weigh(value).items * weigh(between).size_bytes
        spend(size // 32, size)
    return value


def _tojson(  # transformers' signature, which templates call
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Return JSON for a model; jinja2's own filter would escape it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _as_templates_expect(message: Message) -> dict[str, Any]:
    """Return a message whose tool calls have their arguments as objects."""
    shaped = {**message, "content": message.get("content") or ""}
    if message.get("tool_calls"):
        shaped["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _object_of(call["function"])}}
            for call in message["tool_calls"]
        ]
    return shaped


# Arguments are JSON text within the JSON of a request.
_MAX_DEPTH = 128


def _object_of(function: Mapping[str, Any]) -> Any:
    try:
        return parse_json(function["arguments"].encode(), max_depth=_MAX_DEPTH, as_python=True)
    except ValueError as error:
        message = f"the arguments of {function['name']!r} are not JSON: {error}"
        raise failure("REQUEST_INVALID", message, where="messages") from error
