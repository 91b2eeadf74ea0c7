"""A kit's data contract: what is refused, what is only noted, and where it is said."""

import json
from bisect import bisect_right
from contextlib import suppress

import pytest
from fakes.kits import KIT, kit_of

from mealkit.contract.observation import LENGTH_EDGES
from mealkit.errors import DataError, MealkitError
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile, FieldProfile, Histogram
from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.contract_inputs import ContractInputs
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.endpoint import Asked
from mealkit.runtime.api.predict import PREDICT
from mealkit.runtime.api.rerank import RERANK
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.gateway.data_gate import MAX_TEXTS, DataGate
from mealkit.runtime.gateway_packages import GATEWAY_REQUIREMENTS, gateway_requirements
from mealkit.runtime.watch.metrics import Metrics

SHORT = {"length": {"maximum_characters": 8}}
LONG = "more than eight"
CHAT_FEATURES = frozenset({Feature.CHAT, Feature.COMPLETION, Feature.TOKENS})
PROMPTS = {"ask": ("{{ text }} {{ more }}?", ("text", "more"))}


def contract(**inputs):
    return DataContract.model_validate_json(json.dumps({"inputs": inputs}))


def lengths(counts):
    """The groups of a profile, from how many texts of each length there are."""
    found = [0] * (len(LENGTH_EDGES) + 1)
    for length, count in counts.items():
        found[bisect_right(LENGTH_EDGES, length)] += count
    return tuple(found)


def said(text):
    return {"messages": [{"role": "user", "content": text}]}


@pytest.fixture
def passed(make_api_lock):
    """Pass a request through the gate: ``passed(endpoint, task, rules, **values)``."""

    def run(endpoint, task, rules, **values):
        lock = make_api_lock(task, features=CHAT_FEATURES, prompts=PROMPTS)
        lock = lock.model_copy(update={"data": rules})
        served = ServedModel.of(lock)
        counted = []
        gate = DataGate(rules, lock, lambda name, rule: counted.append((name, rule)))
        run.counted = counted
        return gate.passed(endpoint.prepare({"model": served.model, **values}, served))

    return run


def refusal(call, *arguments, **values):
    with pytest.raises(MealkitError) as caught:
        call(*arguments, **values)
    return caught.value


DOCUMENT = {"text": LONG}
PARTS = [{"type": "text", "text": "fine"}, {"type": "text", "text": LONG}]
PROMPT = {"name": "ask", "variables": {"text": "a", "more": LONG}}


@pytest.mark.parametrize(
    ("endpoint", "task", "name", "values", "where"),
    [
        (EMBEDDINGS, Task.EMBEDDINGS, "input", {"input": LONG}, "input"),
        (EMBEDDINGS, Task.EMBEDDINGS, "input", {"input": ["a", LONG]}, "input[1]"),
        (
            EMBEDDINGS,
            Task.EMBEDDINGS,
            "more",
            {"input": "a", "prompt": "ask", "variables": {"more": LONG}},
            "variables.more",
        ),
        (CLASSIFY, Task.CLASSIFICATION, "input", {"input": [LONG]}, "input[0]"),
        (RERANK, Task.RERANKING, "query", {"query": LONG, "documents": ["a"]}, "query"),
        (
            RERANK,
            Task.RERANKING,
            "documents",
            {"query": "a", "documents": ["a", DOCUMENT]},
            "documents[1].text",
        ),
        (COMPLETIONS, Task.GENERATION, "prompt", {"prompt": LONG}, "prompt"),
        (COMPLETIONS, Task.GENERATION, "prompt", {"prompt": [LONG]}, "prompt[0]"),
        (COMPLETIONS, Task.GENERATION, "prompt", {"prompt": PROMPT}, "variables.more"),
        (COMPLETIONS, Task.GENERATION, "more", {"prompt": PROMPT}, "variables.more"),
        (CHAT, Task.GENERATION, "messages", said(LONG), "messages[0].content"),
        (CHAT, Task.GENERATION, "messages", said(PARTS), "messages[0].content[1].text"),
        (CHAT, Task.GENERATION, "messages", {"prompt": PROMPT}, "variables.more"),
        (CHAT, Task.GENERATION, "more", {"prompt": PROMPT, **said("a")}, "variables.more"),
        (RESPONSES, Task.GENERATION, "messages", {"input": LONG}, "input"),
        (
            RESPONSES,
            Task.GENERATION,
            "messages",
            {"instructions": LONG, "input": [{"role": "user", "content": LONG}]},
            "input[0].content",
        ),
        (PREDICT, Task.PREDICTION, "text", {"input": {"text": LONG}}, "input.text"),
    ],
)
def test_a_violation_names_the_field_of_the_request(passed, endpoint, task, name, values, where):
    """In every form of a request, with the value, the rule and the owner; nothing is passed on."""
    error = refusal(passed, endpoint, task, contract(**{name: SHORT}), **values)
    fault = error.problems[0]
    assert (fault.code, fault.owner.value, fault.where) == ("DATA_LENGTH", "caller", where)
    assert (fault.measured, fault.required) == ("15 characters", "at most 8 characters")
    (shown,) = error.violations
    assert (shown["field"], shown["rule"]) == (where, "length.maximum_characters")
    assert LONG in shown["value"]
    assert passed.counted == [(name, "length")]


def test_the_kits_own_answers_are_no_data(passed):
    """A conversation goes on after a long answer; the system's instructions are not data, too."""
    roles = ("system", "user", "assistant", "user")
    texts = (LONG, "short", LONG, "short")
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    asked = passed(CHAT, Task.GENERATION, contract(messages=SHORT), messages=messages)
    assert (asked.inputs, asked.data_warnings) == (None, "")


def test_a_warning_passes_the_request(passed):
    """With the fields and the rules for a header; a name that no header can have is encoded."""
    rules = contract(größe={"range": {"maximum": 1, "action": "warn"}})
    asked = passed(PREDICT, Task.PREDICTION, rules, input={"größe": [3, 0, 5]})
    size = "input.gr%C3%B6%C3%9Fe"
    assert asked.data_warnings == f"{size}[0]=range.maximum, {size}[2]=range.maximum"
    assert passed.counted == [("größe", "range")]


def test_many_violations_are_shortened(passed):
    """A request of two thousand bad texts gets a short answer, and a short header."""
    texts = [LONG] * 2000
    error = refusal(passed, EMBEDDINGS, Task.EMBEDDINGS, contract(input=SHORT), input=texts)
    assert len(error.violations) == 10
    rules = contract(input={"length": {"maximum_characters": 8, "action": "warn"}})
    header = passed(EMBEDDINGS, Task.EMBEDDINGS, rules, input=texts).data_warnings
    assert header.count("length.maximum_characters") == 10
    assert len(header) < 500


def test_a_pattern_of_the_author_takes_linear_time(passed):
    """One that takes exponential time in other engines does not delay a request."""
    rules = contract(input={"schema": {"schema": {"pattern": "^(a|a)*$"}}})
    fault = refusal(passed, EMBEDDINGS, Task.EMBEDDINGS, rules, input="a" * 100_000 + "!")
    assert fault.problems[0].code == "DATA_SCHEMA"
    assert len(str(fault)) < 2000


def test_tokens_are_no_way_around_the_contract(passed):
    """A contract is about text, so the text itself is required."""
    error = refusal(passed, EMBEDDINGS, Task.EMBEDDINGS, contract(input=SHORT), input=[1, 2])
    assert (error.problems[0].code, error.problems[0].where) == ("REQUEST_UNSUPPORTED", "input")


ENGLISH = "The soup is served with a slice of bread, and everyone gets a second plate."
GERMAN = "Die Suppe wird mit einer Scheibe Brot gereicht, und alle bekommen einen Teller."
TOKENS = {"length": {"maximum_tokens": 20}}


@pytest.mark.parametrize(
    ("text", "counted"), [("twelve bytes", False), ("thirteen bytes", True), ("ä", True)]
)
def test_only_undecided_texts_are_counted(passed, text, counted):
    """A text whose characters cannot become too many tokens needs no tokenizer."""
    asked = passed(EMBEDDINGS, Task.EMBEDDINGS, contract(input=TOKENS), input=["a", text])
    assert [item.where for item in asked.to_count] == ["input[1]"] * counted
    assert asked.held_bytes >= len(asked.body) + counted * len(text)


@pytest.mark.parametrize("rules", [TOKENS, {"duplicates": {}}])
def test_texts_that_take_time_are_bounded(passed, rules):
    """A list in the input of own code may have two hundred thousand texts."""
    texts, few = ["x" * 40] * (MAX_TEXTS + 1), {"texts": rules}
    error = refusal(passed, PREDICT, Task.PREDICTION, contract(**few), input={"texts": texts})
    fault = error.problems[0]
    assert (fault.code, fault.where) == ("REQUEST_TOO_LARGE", "input.texts")


def test_a_text_in_another_language(passed):
    """The identifier is loaded for the kits whose contract asks for languages."""
    rules = contract(input={"languages": {"allowed": ["en"]}})
    error = refusal(passed, EMBEDDINGS, Task.EMBEDDINGS, rules, input=[ENGLISH, GERMAN])
    fault = error.problems[0]
    assert (fault.code, fault.where) == ("DATA_LANGUAGES", "input[1]")
    assert (fault.measured, fault.required) == ("the language de", "en")


def test_tokens_are_not_counted_without_a_tokenizer(make_api_lock):
    """The paper's own code has none: the request passes, and the gate says which rule is off."""
    rules = contract(text=TOKENS)
    gate = DataGate(rules, make_api_lock(Task.PREDICTION, features=frozenset()), lambda *_: None)
    assert gate.unchecked == ("text",)
    asked = Asked("/v1/predict", b"", inputs=ContractInputs({"text": "x" * 100}))
    assert gate.passed(asked).to_count == ()


def test_drift_is_that_of_the_last_requests(make_api_lock):
    """Compared with the profile in the lock, refused requests included; no text is kept."""
    usual = Histogram(edges=LENGTH_EDGES, counts=lengths({5: 990, 10: 10}))
    field = FieldProfile(values=1000, missing=0, characters=usual)
    profile = DataProfile(rows=1000, inputs={"input": field})
    rules = contract(input=SHORT).model_copy(update={"drift_window": 200})
    lock = make_api_lock(Task.EMBEDDINGS).model_copy(update={"data_profile": profile})
    served = ServedModel.of(lock)
    metrics = Metrics("m")
    counters = metrics.watch_data(rules)
    gate = DataGate(rules, lock, counters.violated)
    counters.watch_drift(gate.drift)

    def ask(text, times):
        for _ in range(times):
            with suppress(DataError):
                gate.passed(EMBEDDINGS.prepare({"model": served.model, "input": text}, served))

    ask("short", 99)
    assert "mealkit_data_drift{" not in metrics.text().decode()
    ask("short", 101)
    assert gate.drift()["input"] < 0.25
    ask(LONG, 200)
    assert gate.drift()["input"] > 1
    assert 'mealkit_data_drift{field="input"} ' in metrics.text().decode()
    ask("short", 200)
    assert gate.drift()["input"] < 0.25


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    """A running kit with a contract for messages, whose engine counts words as tokens."""
    rules = {
        "messages": {
            "length": {"maximum_tokens": 4, "maximum_characters": 60000},
            "schema": {"action": "warn", "schema": {"type": "object", "required": ["name"]}},
        },
        "prompt": {"length": {"maximum_tokens": 2, "action": "warn"}},
    }
    lock = make_api_lock(features=CHAT_FEATURES)
    return start_shared(lock.model_copy(update={"data": contract(**rules)})).wait_ready()


def violations(kit, field, rule):
    return kit.gauge(f'mealkit_data_violations_total{{field="{field}",rule="{rule}"}}')


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "form", "where"),
    [
        ("/v1/chat/completions", said, "messages[0].content"),
        ("/v1/responses", lambda text: {"input": text}, "input"),
    ],
)
def test_too_many_tokens_are_refused(kit, stream, path, form, where):
    """With 422, before the engine gets the request, whether a stream was asked for or not."""
    text = "a text with too many of its words"
    before = violations(kit, "messages", "length")
    answer = kit.post(path, stream=stream, **form(text))
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert (error["code"], error["owner"], error["param"]) == ("DATA_LENGTH", "caller", where)
    assert (error["measured"], error["required"]) == ("8 tokens", "at most 4 tokens")
    (shown,) = error["violations"]
    assert (shown["rule"], shown["field"]) == ("length.maximum_tokens", where)
    assert violations(kit, "messages", "length") == before + 1
    line = kit.wait_for(lambda: [e for e in kit.events("request") if e.get("param") == where])[-1]
    assert (line["code"], line["status"]) == ("DATA_LENGTH", 422)
    assert "too many" not in "".join(kit.raw)


@pytest.mark.parametrize("stream", [False, True])
def test_a_warning_is_a_header_and_a_count(kit, stream):
    """The answer is the same, and has been asked of the engine."""
    before = violations(kit, "prompt", "length")
    answer = kit.post("/v1/completions", prompt="one two three words", stream=stream)
    assert answer.status_code == 200
    assert answer.headers["X-Mealkit-Data-Warnings"] == "prompt=length.maximum_tokens"
    assert "ONE" in answer.text
    assert violations(kit, "prompt", "length") == before + 1
    few = kit.post("/v1/completions", prompt="one", stream=stream)
    assert "X-Mealkit-Data-Warnings" not in few.headers
    both = kit.chat("one two", stream=stream).headers["X-Mealkit-Data-Warnings"]
    assert both == "messages[0]=schema"


def test_a_large_body_is_checked(kit):
    """It is parsed beside the event loop, and the contract is checked there, too."""
    answer = kit.chat("x" * 70_000)
    assert answer.status_code == 422
    assert answer.json()["error"]["measured"] == "70000 characters"


def test_counting_needs_no_contract_for_tokens(kit):
    """Callers count the tokens of a text in order to shorten it."""
    answer = kit.post("/v1/tokenize", prompt="a text with too many words")
    assert answer.json()["count"] == 6


@pytest.mark.parametrize(
    ("changes", "further"),
    [
        ({}, ()),
        ({"data": {"inputs": {"input": SHORT}}}, ()),
        ({"data": {"inputs": {"input": {"schema": {"schema": {}}}}}}, ("jsonschema-rs>=0.60",)),
        ({"data": {"inputs": {"input": {"languages": {"allowed": ["en"]}}}}}, ("py3langid>=0.4",)),
        (
            {"data": {"inputs": {"input": {"schema": {"schema": {}, "action": "off"}, **SHORT}}}},
            (),
        ),
        (
            {"cases": [{"name": "a", "request": {}, "expect": [{"schema": {"type": "array"}}]}]},
            ("jsonschema-rs>=0.60",),
        ),
    ],
)
def test_the_gateways_packages_are_those_that_the_kit_needs(changes, further):
    """A kit without such rules has the same image as before."""
    kit = kit_of({**KIT, **changes})
    assert gateway_requirements(kit) == (*GATEWAY_REQUIREMENTS, *further)
