"""``POST /v1/chat/completions``: OpenAI's chat, with every omitted value filled in from the kit.

Raises RequestError for parameters that the engine does not support and for those that the kit pins.
Format:
https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mealkit.errors import failure
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.sampling_parameters import TOP_LOGPROBS
from mealkit.runtime.api.answer_models import ChatAnswer, ChatChunk
from mealkit.runtime.api.contract_inputs import chat_inputs
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.messages import (
    FunctionKind,
    Hinted,
    Messages,
    messages_for_worker,
    refuse_other_media,
)
from mealkit.runtime.api.named_prompt import NamedPrompt, Variables, fill, named_prompt
from mealkit.runtime.api.other_servers import OF_OTHER_SERVERS
from mealkit.runtime.api.prompt_length import length_check_of
from mealkit.runtime.api.reading import (
    WHOLE,
    RefusedParameter,
    Request,
    body_of,
    read_request,
    unsupported,
)
from mealkit.runtime.api.sampling import (
    GenerationRequest,
    TokenLimit,
    most_answer_tokens,
    sampling_values,
    token_limit,
    wants_usage,
)
from mealkit.runtime.api.served_model import ServedModel
from mealkit.worker.schema_limits import check_schema_size

PATH = "/v1/chat/completions"

FunctionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Function(Hinted):
    """A function that the model may call."""

    name: FunctionName
    """The function's name."""
    description: str | None = None
    """What the function does, for the model."""
    parameters: dict[str, Any] | None = None
    """The JSON Schema of the function's arguments."""
    strict: bool | None = None
    """Whether the arguments must match the schema."""


class Tool(Hinted):
    """A tool that the model may call."""

    type: FunctionKind = "function"
    """The kind of tool: always a function."""
    function: Function
    """The function."""


class NamedFunction(Request):
    """The name of a function."""

    name: FunctionName
    """The function's name."""


class NamedTool(Request):
    """The tool that the model must call."""

    type: Literal["function"] = "function"
    """The kind of tool: always a function."""
    function: NamedFunction
    """The function."""


class PlainText(Request):
    """Plain text, without a required format."""

    type: Literal["text"]
    """The kind of format."""


class AnyJson(Request):
    """Any JSON object."""

    type: Literal["json_object"]
    """The kind of format."""


class Form(Request):
    """A JSON Schema with a name."""

    name: FunctionName
    """The schema's name."""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    """The JSON Schema that the answer must match."""
    description: str | None = None
    """What the format is for."""
    strict: bool | None = None
    """Has no effect: the answer always matches the schema."""


class JsonForm(Request):
    """JSON that matches a JSON Schema."""

    type: Literal["json_schema"]
    """The kind of format."""
    json_schema: Form
    """The schema."""


ResponseFormat = Annotated[PlainText | AnyJson | JsonForm, Field(discriminator="type")]


class ChatRequest(GenerationRequest):
    """A conversation to answer."""

    messages: Messages | None = None
    """The conversation so far; optional if ``prompt`` is given."""
    prompt: str | NamedPrompt | None = None
    """A prompt of the kit, appended as the last user message: a name or an object."""
    variables: Variables | None = None
    """A text for each variable of ``prompt``."""
    max_completion_tokens: TokenLimit = None
    """The maximum number of tokens of the answer: the newer name of max_tokens."""
    logprobs: bool | None = None
    """Whether the answer includes the log probabilities of its tokens."""
    top_logprobs: Annotated[int | None, Field(**TOP_LOGPROBS.field), WHOLE] = None
    response_format: ResponseFormat | None = None
    """The format that the answer must have."""
    tools: Annotated[list[Tool], Field(max_length=128, fail_fast=True)] | None = None
    """The tools that the model may call."""
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    """Whether the model must call a tool, and which one."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools."""
    continue_final_message: bool | None = None
    """Whether the answer continues the last message, usually one of the assistant. Without it, the
    answer is a message of its own."""
    add_generation_prompt: bool | None = None
    """Whether the prompt ends with the start of an answer, as by default."""
    safety_identifier: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""
    prediction: Any = None
    """A guess of the answer, to speed it up. It is ignored: it never changes an answer."""


_REFUSED: Mapping[str, RefusedParameter] = {
    **OF_OTHER_SERVERS,
    "add_special_tokens": RefusedParameter("the chat template writes them", (False,)),
    "audio": RefusedParameter("answers are text"),
    "best_of": RefusedParameter("every generated answer is returned", (1,), "use n"),
    "echo": RefusedParameter("the answer is only the text after the messages", (False,)),
    "function_call": RefusedParameter(
        "this is the old name of tool_choice", ("none", "auto"), "use tool_choice"
    ),
    "functions": RefusedParameter("this is the old name of tools", ([],), "use tools"),
    "modalities": RefusedParameter("answers are text", (["text"],)),
    "moderation": RefusedParameter("this kit does not moderate content"),
    # OpenAI's defaults, which some clients always send, mean the same as leaving them out.
    "reasoning_effort": RefusedParameter("the kit's author has set it", ("medium",)),
    "verbosity": RefusedParameter("the kit's author has set it", ("medium",)),
    "web_search_options": RefusedParameter("a kit has no access to the network"),
}


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    refuse_other_media(values.get("messages"))
    asked = read_request(ChatRequest, values, _REFUSED)
    body = sampling_values(
        asked, served, token_limit(asked.max_tokens, asked.max_completion_tokens)
    )
    prompt = named_prompt(asked.prompt, asked.variables)
    body["messages"] = _messages(asked, prompt, served)
    _add_likelihoods(body, asked, served)
    _add_form(body, asked, served)
    _add_tools(body, asked, served)
    _add_end(body, asked)
    length_check = length_check_of(served, body, "messages")
    return Asked(
        PATH,
        body_of(body),
        streams=bool(asked.stream),
        wants_usage=wants_usage(asked),
        answer_tokens=most_answer_tokens(body, served),
        seed=body.get("seed"),
        length_check=length_check,
        inputs=chat_inputs(values.get("messages") or (), prompt),
        prompt=prompt.name if prompt else "",
        system_prompt=_system_prompt(asked, served),
    )


def _messages(
    asked: ChatRequest, prompt: NamedPrompt | None, served: ServedModel
) -> list[dict[str, Any]]:
    if prompt is None and not asked.messages:
        raise failure("REQUEST_INVALID", "messages is missing", where="messages")
    messages = messages_for_worker(asked.messages or [], served)
    if prompt is not None:
        messages.append({"role": "user", "content": fill(served, prompt)})
    return messages


def _system_prompt(asked: ChatRequest, served: ServedModel) -> str:
    """Return what was done with the kit's system prompt, for a header; empty without one."""
    if served.system is None:
        return ""
    return served.system.outcome(message.role for message in asked.messages or ())


def _add_likelihoods(body: dict[str, Any], asked: ChatRequest, served: ServedModel) -> None:
    body["logprobs"] = bool(asked.logprobs)
    if asked.logprobs:
        served.require(Feature.LOGPROBS, "logprobs")
        body["top_logprobs"] = asked.top_logprobs or TOP_LOGPROBS.neutral
    elif asked.top_logprobs:
        message = "top_logprobs is given without logprobs: true"
        raise failure("REQUEST_INVALID", message, where="top_logprobs")


def _add_form(body: dict[str, Any], asked: ChatRequest, served: ServedModel) -> None:
    form = asked.response_format
    if form is None or isinstance(form, PlainText):
        return
    served.require(Feature.JSON_SCHEMA, "response_format")
    if isinstance(form, JsonForm):
        check_schema_size([form.json_schema.schema_], "response_format")
    body["response_format"] = form.model_dump(by_alias=True, exclude_none=True)


def _add_tools(body: dict[str, Any], asked: ChatRequest, served: ServedModel) -> None:
    if not asked.tools:
        if asked.tool_choice not in (None, "none", "auto"):
            message = "tool_choice is given without tools"
            raise failure("REQUEST_INVALID", message, where="tool_choice")
        return
    served.require(Feature.TOOLS, "tools")
    names = [tool.function.name for tool in asked.tools]
    if len(set(names)) < len(names):
        raise failure("REQUEST_INVALID", "two tools have the same name", where="tools")
    check_schema_size([tool.function.parameters or {} for tool in asked.tools], "tools")
    body["tools"] = [tool.model_dump(exclude_none=True) for tool in asked.tools]
    choice = asked.tool_choice or "auto"
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            message = f"tool_choice names {choice.function.name!r}, which is not among the tools"
            raise unsupported(message, "tool_choice")
        choice_value: Any = choice.model_dump()
    else:
        choice_value = choice
    is_required = isinstance(choice, NamedTool) or choice == "required"
    if is_required and served.binds_only_strict:
        for tool in body["tools"]:
            tool["function"]["strict"] = True
    body["tool_choice"] = choice_value
    body["parallel_tool_calls"] = asked.parallel_tool_calls is not False


def _add_end(body: dict[str, Any], asked: ChatRequest) -> None:
    if asked.continue_final_message:
        _refuse_continuing(body, asked)
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
    elif asked.add_generation_prompt is False:
        body["add_generation_prompt"] = False


def _refuse_continuing(body: Mapping[str, Any], asked: ChatRequest) -> None:
    where = "continue_final_message"
    if asked.add_generation_prompt:
        message = f"{where} and add_generation_prompt exclude each other"
        raise failure("REQUEST_INVALID", message, where=where)
    if "tool_calls" in body["messages"][-1]:
        message = f"{where} needs a text as the last message, not calls"
        raise failure("REQUEST_INVALID", message, where=where)
    if "response_format" in body:
        message = f"{where} is not supported with response_format, which binds an answer as a whole"
        raise unsupported(message, where)


CHAT = Endpoint(
    path=PATH,
    operation="chat",
    summary="Answer a conversation",
    request=ChatRequest,
    answer=ChatAnswer,
    is_offered=lambda served: served.task is Task.GENERATION and Feature.CHAT in served.features,
    prepare=_prepare,
    example=lambda _: {"messages": [{"role": "user", "content": "Say hello."}]},
    event=ChatChunk,
    refusals=_REFUSED,
)
