"""Clients as they are published, in conversations with one container: turns, functions, structure.

The model writes nonsense, so these tests are about the protocol: whole and streamed answers are the
same, a function that must be called is called as its schema says, its result may be sent back, a
structured answer has its structure. Each client sends back the answers that it got, as it keeps
them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import openai
import pydantic
import pytest
from fakes.clients import CONVERSATIONS, call, call_from_npm
from fakes.served import ROOT

KIT = ROOT / "kits" / "tiny-chat-onnx"
MODEL = ROOT / "kits" / "tiny-llama"
NAME = "tiny-llama"
QUESTION = {"role": "user", "content": "What does join do?"}
AGAIN = {"role": "user", "content": "What does open do?"}

pytestmark = [
    pytest.mark.docker,
    pytest.mark.online,
    pytest.mark.xdist_group("conversations"),
]

# The context has 512 tokens, so a function's schema is not in the prompt, only its name.
TEMPLATE = """\
{% if tools %}<|im_start|>system
T:{% for t in tools %}{{ t.function.name }} {% endfor %}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}{% for c in m.tool_calls or [] %}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}
"""


class Verdict(pydantic.BaseModel):
    """A structured answer; nothing in it has a free length."""

    kind: Literal["function", "method"]
    returns: bool


class Weather(pydantic.BaseModel):
    """The weather of a place."""

    place: Literal["here", "there"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, home_with_files, serve) -> str:
    """The chat kit, changed to call tools, in a container."""
    folder = tmp_path_factory.mktemp("conversations")
    shutil.copytree(MODEL, folder / MODEL.name)
    kit = Path(shutil.copytree(KIT, folder / KIT.name))
    (kit / "template").mkdir()
    (kit / "template" / "tools.jinja").write_text(TEMPLATE)
    more = "    - {source: folder, path: template, files: [tools.jinja]}\n\nprompts: {}"
    text = (kit / "kit.yaml").read_text()
    changed = text.replace("\nprompts: {}", more, 1).replace(
        "  chat_template: model", "  tool_calls: hermes\n  chat_template: tools.jinja"
    )
    (kit / "kit.yaml").write_text(changed)
    home = home_with_files(folder / "home")
    address: str = serve(kit, home, "docker", allowed=(folder / MODEL.name,)).url
    return address


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as found:
        yield found


def assert_conversation(found: dict) -> None:
    """Assert what every client must have made of its conversation."""
    first, second = found["turns"]
    assert first
    assert second
    assert "".join(piece or "" for piece in found["pieces"]) == first
    assert sum(map(bool, found["pieces"])) > 2
    assert all(isinstance(text, str) and text for text in found["after"])
    assert set(found.get("heard", ["here"])) <= {"here", "there"}
    assert found.get("heard") != []
    assert all(Verdict.model_validate(answer) for answer in found["structured"])
    assert 0 < found["tokens"] <= 24


@pytest.mark.parametrize("name", ["agents", "pydantic_ai", "langchain", "llama_index"])
def test_clients_in_python(url, name):
    """The Agents SDK, pydantic-ai, LangChain and LlamaIndex hold their conversations."""
    for found in call(name, url, NAME, calls=CONVERSATIONS):
        assert_conversation(found)


def test_litellm(url):
    """LiteLLM, too; it knows a prompt that is too long for the context by its own exception."""
    found, overflow = call("litellm", url, NAME, calls=CONVERSATIONS)
    assert_conversation(found)
    assert overflow == "context"


@pytest.mark.parametrize(
    "name",
    [
        "openai_chat",
        "openai_responses",
        "ai_responses",
        "ai_chat",
        "ai_compatible",
        "agents_responses",
        "agents_chat",
    ],
)
def test_clients_from_npm(url, name):
    """OpenAI's client with its helpers for zod, the AI SDK and the Agents SDK hold theirs."""
    assert_conversation(call_from_npm(name, url, NAME))


def test_the_ai_sdk_as_it_is(url):
    """Its default works but for stored messages, which are refused with what to set instead."""
    found = call_from_npm("ai_default", url, NAME)
    assert all(found["after"])
    assert found["heard"]
    assert "stores nothing" in found["refused"]


# The client's own types do not expect what its helper has parsed.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_turns_in_chat(client):
    """The official client's messages are sent back as they are, whole, parsed and gathered."""
    create = client.chat.completions.create
    given = {"model": NAME, "max_tokens": 24}
    turns = [{"role": "developer", "content": "Be brief."}, QUESTION]
    turns += [create(messages=turns, **given).choices[0].message, AGAIN]
    with client.chat.completions.stream(messages=turns, **given) as stream:
        turns += [stream.get_final_completion().choices[0].message, QUESTION]
    parsed = client.chat.completions.parse(
        model=NAME, messages=turns, response_format=Verdict, max_tokens=96
    )
    turns += [parsed.choices[0].message, AGAIN]
    assert isinstance(parsed.choices[0].message.parsed, Verdict)
    assert create(messages=turns, **given).choices[0].message.content


def test_functions_in_chat(client):
    """A function is called as its schema says, streamed too; with auto, strict is no obstacle."""
    tools = [openai.pydantic_function_tool(Weather)]
    given = {"model": NAME, "tools": tools, "max_tokens": 96}
    turns = [QUESTION]
    for choice in ("required", {"type": "function", "function": {"name": "Weather"}}):
        parsed = client.chat.completions.parse(messages=turns, tool_choice=choice, **given)
        [found] = parsed.choices
        assert found.finish_reason in {"tool_calls", "stop"}
        [called, *_] = found.message.tool_calls
        assert isinstance(called.function.parsed_arguments, Weather)
        results = [
            {"role": "tool", "tool_call_id": item.id, "content": "rain"}
            for item in found.message.tool_calls
        ]
        turns += [found.message, *results]
        assert client.chat.completions.create(messages=turns, **given).usage.total_tokens
        turns += [QUESTION]
    with client.chat.completions.stream(
        messages=[QUESTION], tool_choice="required", **given
    ) as stream:
        [called, *_] = stream.get_final_completion().choices[0].message.tool_calls
    assert Weather.model_validate_json(called.function.arguments)


def test_responses(client):
    """The official client's Responses API: turns, functions, structure, whole and streamed."""
    responses = client.responses
    given = {"model": NAME, "max_output_tokens": 24}
    turns = [QUESTION]
    first = responses.create(input=turns, instructions="Be brief.", store=True, **given)
    assert (first.store, first.status) == (False, "completed")
    with responses.stream(input=turns, instructions="Be brief.", **given) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == first.output_text
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    tools = [
        {
            "type": "function",
            "name": "Weather",
            "strict": True,
            "parameters": {**Weather.model_json_schema(), "additionalProperties": False},
        }
    ]
    turns += [*first.output, AGAIN]
    called = responses.parse(
        model=NAME, input=turns, tools=tools, tool_choice="required", max_output_tokens=96
    )
    calls = [item for item in called.output if item.type == "function_call"]
    assert Weather.model_validate_json(calls[0].arguments)
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
        for item in calls
    ]
    turns += [*called.output, *results]
    assert responses.create(input=turns, tools=tools, **given).output
    parsed = responses.parse(model=NAME, input=[QUESTION], text_format=Verdict)
    assert isinstance(parsed.output_parsed, Verdict)
    again = responses.create(input=[QUESTION, *parsed.output, AGAIN], **given)
    assert again.usage.total_tokens == again.usage.input_tokens + again.usage.output_tokens
    short = responses.create(model=NAME, input=[QUESTION], max_output_tokens=1)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
