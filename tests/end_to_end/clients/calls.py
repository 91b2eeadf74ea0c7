"""Conversations that clients in Python have with a kit; run by the Python that has the clients.

``python calls.py NAME URL MODEL`` prints what the client made of the answers, as JSON. Each calls a
function, answers it, gets a structured answer, streams, and talks for several turns.
"""

# ruff: noqa: PLC0415 - each call imports the one client that it needs

import asyncio
import json
import os
import sys
from typing import Literal

from pydantic import BaseModel

HELLO, AGAIN = "What does join do?", "What does open do?"
SHORT = 24


class Verdict(BaseModel):
    """A structured answer; nothing in it has a free length."""

    kind: Literal["function", "method"]
    returns: bool


def agents(url, model):
    """Run agents of the Agents SDK on chat completions, and on the Responses API, its default."""
    from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)

    async def both():
        kinds = (OpenAIChatCompletionsModel, OpenAIResponsesModel)
        return [await _agents(kind(model, client)) for kind in kinds]

    return asyncio.run(both())


async def _agents(model):
    from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled

    set_tracing_disabled(disabled=True)
    heard = []

    @function_tool
    def weather(place: Literal["here", "there"]) -> str:
        """Say the weather of a place."""
        heard.append(place)
        return "rain"

    short = ModelSettings(max_tokens=SHORT)
    calling = ModelSettings(max_tokens=96, tool_choice="required", parallel_tool_calls=False)
    talker = Agent(name="talker", instructions="Be brief.", model=model, model_settings=short)
    caller = Agent(name="caller", model=model, model_settings=calling, tools=[weather])
    judge = Agent(name="judge", model=model, output_type=Verdict)

    first = await Runner.run(talker, HELLO)
    turns = [*first.to_input_list(), {"role": "user", "content": AGAIN}]
    second = await Runner.run(talker, turns)
    streamed = Runner.run_streamed(talker, HELLO)
    pieces = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    called = await Runner.run(caller, HELLO)
    again = Runner.run_streamed(caller, HELLO)
    async for _ in again.stream_events():
        pass
    return {
        "turns": [first.final_output, second.final_output],
        "pieces": pieces,
        "heard": heard,
        "after": [called.final_output, again.final_output],
        "structured": [(await Runner.run(judge, HELLO)).final_output.model_dump()],
        "tokens": first.raw_responses[0].usage.output_tokens,
    }


def pydantic_ai(url, model):
    """Run agents of pydantic-ai on chat completions, and on the Responses API."""
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="any")

    async def both():
        kinds = (OpenAIChatModel, OpenAIResponsesModel)
        return [await _pydantic_ai(kind(model, provider=provider)) for kind in kinds]

    return asyncio.run(both())


async def _pydantic_ai(model):
    from pydantic_ai import Agent, NativeOutput

    short = {"max_tokens": SHORT}
    talker = Agent(model, instructions="Be brief.", model_settings=short)
    first = await talker.run(HELLO)
    second = await talker.run(AGAIN, message_history=first.all_messages())
    async with talker.run_stream(HELLO) as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    # Its own way to a structured answer is a function that must be called.
    judges = [Agent(model, output_type=kind) for kind in (Verdict, NativeOutput(Verdict))]
    answers = [await judge.run(HELLO) for judge in judges]
    # The answer to the function that was called is in the history.
    after = await talker.run(AGAIN, message_history=answers[0].all_messages())
    return {
        "turns": [first.output, second.output],
        "pieces": pieces,
        "after": [after.output],
        "structured": [answer.output.model_dump() for answer in answers],
        "tokens": first.usage.output_tokens,
    }


def langchain(url, model):
    """Talk with LangChain's adapter, on chat completions, and on the Responses API."""
    return [_langchain(url, model, use_responses_api=new) for new in (False, True)]


def _langchain(url, model, *, use_responses_api):
    from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def weather(place: Literal["here", "there"]) -> str:
        """Say the weather of a place."""

    def talker(max_tokens):
        return ChatOpenAI(
            base_url=f"{url}/v1",
            api_key="any",
            model=model,
            max_tokens=max_tokens,
            max_retries=0,
            use_responses_api=use_responses_api,
        )

    short, long = talker(SHORT), talker(96)
    turns = [SystemMessage("Be brief."), HumanMessage(HELLO)]
    first = short.invoke(turns)
    second = short.invoke([*turns, first, HumanMessage(AGAIN)])
    pieces = [piece.text for piece in short.stream(turns)]
    question = [HumanMessage(HELLO)]
    called = long.bind_tools([weather], tool_choice="weather", strict=True).invoke(question)
    call = called.tool_calls[0]
    after = short.bind_tools([weather], strict=True).invoke(
        [*question, called, ToolMessage("rain", tool_call_id=call["id"])]
    )
    structured = [
        long.with_structured_output(Verdict, method=method).invoke(question).model_dump()
        for method in ("json_schema", "function_calling")
    ]
    return {
        "turns": [first.text, second.text],
        "pieces": pieces,
        "heard": [call["args"]["place"]],
        "after": [after.text],
        "structured": structured,
        "tokens": first.usage_metadata["output_tokens"],
    }


def llama_index(url, model):
    """Talk with LlamaIndex's adapter."""
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike

    def weather(place: Literal["here", "there"]) -> str:
        """Say the weather of a place."""

    def talker(max_tokens):
        return OpenAILike(
            api_base=f"{url}/v1",
            api_key="any",
            model=model,
            is_chat_model=True,
            is_function_calling_model=True,
            max_tokens=max_tokens,
            max_retries=0,
        )

    short, long = talker(SHORT), talker(96)
    turns = [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content=HELLO),
    ]
    first = short.chat(turns)
    second = short.chat([*turns, first.message, ChatMessage(role="user", content=AGAIN)])
    pieces = [piece.delta for piece in short.stream_chat(turns)]
    tools = [FunctionTool.from_defaults(weather)]
    called = long.chat_with_tools(tools, user_msg=HELLO, tool_required=True)
    [call] = long.get_tool_calls_from_response(called)
    answered = ChatMessage(
        role="tool", content="rain", additional_kwargs={"tool_call_id": call.tool_id}
    )
    after = short.chat([turns[1], called.message, answered])
    found = {
        "turns": [first.message.content, second.message.content],
        "pieces": pieces,
        "heard": [call.tool_kwargs["place"]],
        "after": [after.message.content],
        "structured": [long.structured_predict(Verdict, _prompt()).model_dump()],
        "tokens": first.raw.usage.completion_tokens,
    }
    return [found]


def _prompt():
    from llama_index.core.prompts import PromptTemplate

    return PromptTemplate(HELLO)


def litellm(url, model):
    """Talk through LiteLLM, on chat completions and on the Responses API."""
    # Otherwise it would fetch a table of prices.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm as lite

    lite.suppress_debug_info = True  # it would be printed among the answer

    given = {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "any"}
    given |= {"num_retries": 0}
    parameters = Verdict.model_json_schema()
    place = {"type": "object", "properties": {"place": {"enum": ["here", "there"]}}}
    place |= {"required": ["place"], "additionalProperties": False}
    function = {"name": "weather", "parameters": place, "strict": True}
    tools = [{"type": "function", "function": function}]
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HELLO}]

    def ask(messages, max_tokens=SHORT, **values):
        return lite.completion(messages=messages, max_tokens=max_tokens, **given, **values)

    first = ask(turns)
    second = ask([*turns, first.choices[0].message, {"role": "user", "content": AGAIN}])
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(turns, stream=True)]
    called = ask(turns[1:], 96, tools=tools, tool_choice="required").choices[0].message
    call = called.tool_calls[0]
    answered = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    after = ask([turns[1], called, answered], tools=tools)
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": parameters}}
    structured = ask(turns[1:], 96, response_format=form).choices[0].message.content
    response = lite.responses(input=HELLO, max_output_tokens=SHORT, **given)
    try:
        ask([{"role": "user", "content": "word " * 600}])
    except lite.ContextWindowExceededError:
        overflow = "context"
    found = {
        "turns": [first.choices[0].message.content, second.choices[0].message.content],
        "pieces": pieces,
        "heard": [json.loads(call.function.arguments)["place"]],
        "after": [after.choices[0].message.content, response.output[0].content[0].text],
        "structured": [json.loads(structured)],
        "tokens": first.usage.completion_tokens,
    }
    return [found, overflow]


if __name__ == "__main__":
    _, name, *arguments = sys.argv
    json.dump(globals()[name](*arguments), sys.stdout)
