"""The request of ``/v1/responses``, and the parameters of OpenAI's that a kit refuses by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from mealkit.recipe.sampling_parameters import MAX_TOKENS, TOP_LOGPROBS
from mealkit.runtime.api.chat import AnyJson, FunctionName, PlainText
from mealkit.runtime.api.messages import Hinted
from mealkit.runtime.api.other_servers import OF_OTHER_SERVERS
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, Request, unsupported
from mealkit.runtime.api.responses.input_items import InputItems
from mealkit.runtime.api.sampling import SamplingRequest, TokenLimit
from mealkit.untrusted import shown

LIKELIHOODS = "message.output_text.logprobs"
"""The value of ``include`` that asks for log probabilities."""


def _refuse_true(value: bool | None) -> bool | None:  # noqa: FBT001  pydantic's signature
    # Not Literal[False], which accepts 0.
    if value:
        raise ValueError("is true, expected false")
    return value


class FunctionTool(Hinted):
    """A function that the model may call."""

    type: Literal["function"]
    """The kind of tool: always a function."""
    name: FunctionName
    """The function's name."""
    description: str | None = None
    """What the function does, for the model."""
    parameters: dict[str, Any] | None = None
    """The JSON Schema of the function's arguments."""
    strict: bool | None = None
    """Whether the arguments must match the schema."""
    allowed_callers: Annotated[list[Literal["direct"]] | None, Field(exclude=True)] = None
    """Only ``direct``: programs cannot call functions."""
    defer_loading: Annotated[
        bool | None,
        AfterValidator(_refuse_true),
        Field(exclude=True, json_schema_extra={"enum": [False, None]}),
    ] = None
    """Only false: the model is told of all functions."""


class ChosenFunction(Request):
    """The function that the model must call."""

    type: Literal["function"]
    """The kind of tool: always a function."""
    name: FunctionName
    """The function's name."""


class SchemaFormat(Request):
    """JSON that matches a JSON Schema."""

    type: Literal["json_schema"]
    """The kind of format."""
    name: FunctionName
    """The schema's name."""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    """The JSON Schema that the answer must match."""
    description: str | None = None
    """What the format is for."""
    strict: bool | None = None
    """Has no effect: the answer always matches the schema."""


class TextOptions(Request):
    """The text of the answer."""

    format: Annotated[PlainText | AnyJson | SchemaFormat, Field(discriminator="type")] | None = None
    """The format that the answer must have."""
    verbosity: Annotated[str | None, Field(json_schema_extra={"enum": ["medium", None]})] = None
    """Only OpenAI's default, medium: the kit's author has set how the model answers."""


class ReasoningOptions(Request):
    """How the model thinks; a kit's answers have no reasoning of their own."""

    effort: Annotated[str | None, Field(json_schema_extra={"enum": ["medium", None]})] = None
    """Only OpenAI's default, medium: the kit's author has set how the model thinks."""
    summary: str | None = None
    """Ignored: there is no reasoning to summarize."""
    generate_summary: str | None = None
    """The old name of ``summary``. It is ignored."""
    context: str | None = None
    """Ignored: the model gets no reasoning of earlier turns."""
    mode: Literal["standard"] | None = None
    """Only OpenAI's default, standard."""


class ResponseRequest(SamplingRequest):
    """A conversation to answer, as OpenAI's Responses API has it; the kit stores nothing."""

    input: str | InputItems
    """The conversation so far: a text of the user, or a list of items."""
    instructions: str | None = None
    """Instructions that apply to the whole conversation: its first, system message."""
    max_output_tokens: Annotated[TokenLimit, Field(description=MAX_TOKENS.meaning)] = None
    text: TextOptions | None = None
    """The text of the answer, such as its format."""
    reasoning: ReasoningOptions | None = None
    """How the model thinks."""
    tools: Annotated[list[FunctionTool], Field(max_length=128, fail_fast=True)] | None = None
    """The functions that the model may call."""
    tool_choice: Literal["none", "auto", "required"] | ChosenFunction | None = None
    """Whether the model must call a function, and which one."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may call several functions."""
    include: Annotated[list[str], Field(max_length=32, fail_fast=True)] | None = None
    """Log probabilities, as ``message.output_text.logprobs``; other values have no effect."""
    top_logprobs: Annotated[int | None, Field(**TOP_LOGPROBS.field), WHOLE] = None
    truncation: Literal["auto", "disabled"] | None = None
    """Has no effect: an input that is too long is refused, and never shortened."""
    max_tool_calls: int | None = None
    """Has no effect: it limits calls of built-in tools, and a kit has none."""
    safety_identifier: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""


_STORES = "this kit stores nothing"
_WHOLE_INPUT = "send the whole conversation in input"
REFUSED: Mapping[str, RefusedParameter] = {
    **OF_OTHER_SERVERS,
    "background": RefusedParameter(_STORES, (False,), "leave it out, and wait for the answer"),
    "context_management": RefusedParameter("inputs are never shortened", ([],)),
    "conversation": RefusedParameter(_STORES, hint=_WHOLE_INPUT),
    "moderation": RefusedParameter("this kit does not moderate content"),
    "previous_response_id": RefusedParameter(_STORES, hint=_WHOLE_INPUT),
    "prompt": RefusedParameter(
        "it names a prompt that OpenAI stores",
        hint="the kit's own prompts are used with prompt in /v1/chat/completions",
    ),
}


def refuse_other_tools(values: Mapping[str, Any]) -> None:
    """Raise if a tool, or the choice of one, is not a function; called before all other checks.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the tool.
    """
    tools = values.get("tools")
    named = [(f"tools[{index}]", tool) for index, tool in enumerate(_list(tools))]
    for where, tool in [*named, ("tool_choice", values.get("tool_choice"))]:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind != "function":
            message = f"{where} is of type {shown(kind)}, this kit supports only functions"
            raise unsupported(message, where, "OpenAI's built-in tools run at OpenAI")


def refuse_changes(asked: ResponseRequest) -> None:
    """Raise if the request sets how the model thinks or talks in another way than by default.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``.
    """
    given = {
        "text.verbosity": asked.text.verbosity if asked.text else None,
        "reasoning.effort": asked.reasoning.effort if asked.reasoning else None,
    }
    for where, value in given.items():
        if value not in (None, "medium"):
            raise unsupported(f"{where} is not supported: the kit's author has set it", where)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
