"""Requests to answers over a model whose every token the test has written."""

import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as some
from worker.generation.scripted import END, ScriptedModel, config, sampling

from mealkit.errors import MealkitError
from mealkit.worker.generation.generator import Generator
from mealkit.worker.generation_values import (
    Called,
    ChatInput,
    CompletionInput,
    Finished,
    FunctionCall,
    Started,
    Tools,
    Written,
)

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("add", "subtract")
]
TOOL_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}{{ messages[-1].content }}"
CALL = b'<tool_call>\n{"name": "add", "arguments": {"x": 1}}\n</tool_call>'


def nobody_goes():
    return False


def complete(generator, prompt="p", *, count=1, alternatives=None, **fields):
    request = CompletionInput(prompt, sampling(**fields), count, alternatives)
    return generator.complete(request, nobody_goes)


def chat(generator, tools=None, schema=None, *, count=1, alternatives=None, **fields):
    messages = [{"role": "user", "content": "hi"}]
    request = ChatInput(messages, sampling(**fields), count, alternatives, tools, schema)
    return generator.chat(request, nobody_goes)


def text_of(events, index=0):
    return "".join(
        item.text for item in events if isinstance(item, Written) and item.index == index
    )


def generator_of(*script, template=None, **fields):
    return Generator(ScriptedModel(script, template=template), config(**fields))


def with_tools(*script):
    return generator_of(*script, template=TOOL_TEMPLATE, tool_calls="hermes")


def tools(choice="auto", *, named=None, parallel=True):
    return Tools(TOOLS, choice, named, parallel)


@given(some.lists(some.binary(min_size=1, max_size=4), max_size=12))
def test_the_answer_is_what_the_tokens_stand_for(script):
    """Whatever bytes the tokens have, the text is theirs, except half a character at the end."""
    events = list(complete(generator_of(*script)))
    whole = b"".join(script)
    assert text_of(events) in (
        whole.decode(errors="replace"),
        *(whole[:-cut].decode(errors="replace") for cut in (1, 2, 3)),
    )
    assert events[0] == Started(1)
    assert events[-1] == Finished(0, "stop", len(script) + 1)


def test_events_come_as_soon_as_their_text_is_certain():
    """Each piece is an event, except those that wait for the rest of a character."""
    crab = "🦀".encode()
    events = list(complete(generator_of(b"a", crab[:2], crab[2:], b"b")))
    assert [item.text for item in events if isinstance(item, Written)] == ["a", "🦀", "b"]


def test_max_tokens_ends_with_length():
    """As many tokens as asked for, the model is not run for one more, and it is said why."""
    model = ScriptedModel([b"a", b"b", b"c"])
    events = list(complete(Generator(model, config()), max_tokens=2))
    assert (text_of(events), events[-1]) == ("ab", Finished(0, "length", 2))
    assert model.count == 1


def test_a_stop_text_across_tokens_is_cut():
    """The tokens of a stop text are counted and not told, nor are their likelihoods."""
    events = list(
        complete(generator_of(b"one", b" t", b"wo", b" three"), stop=(" two",), alternatives=0)
    )
    assert (text_of(events), events[-1]) == ("one", Finished(0, "stop", 3))
    told = [token.chosen.piece for item in events[1:-1] for token in item.tokens]
    assert told == [b"one"]


def test_likelihoods_wait_with_their_text():
    """Every token is returned once, with the event that has the start of its text."""
    crab = "🦀".encode()
    events = list(
        complete(generator_of(b"a", crab[:2], crab[2:], b"x"), stop=("xy",), alternatives=2)
    )
    told = [
        (item.text, [token.chosen.piece for token in item.tokens])
        for item in events
        if isinstance(item, Written)
    ]
    assert told == [("a", [b"a"]), ("🦀", [crab[:2], crab[2:]]), ("x", [b"x"])]
    first = events[1].tokens[0]
    assert first.alternatives[0] == first.chosen
    assert first.alternatives[1].piece == b"\0"
    assert -0.1 < first.chosen.logprob < 0


def test_several_answers_are_numbered_and_each_reads_the_prompt_anew():
    """Answers come one after the other, each from a fresh model."""
    model = ScriptedModel([b"a", b"b"])
    events = list(complete(Generator(model, config()), count=3))
    assert [text_of(events, index) for index in range(3)] == ["ab"] * 3
    assert [item.index for item in events if isinstance(item, Finished)] == [0, 1, 2]
    assert [type(item) for item in events].count(Started) == 1
    assert model.prompts == [list(b"p")] * 3


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_caller_that_goes_costs_no_further_token(after):
    """The model stops as soon as the caller disconnects, and the next answers are not started."""
    model = ScriptedModel([b"a"] * 10)
    asked = iter([False] * (after + 1))
    request = CompletionInput("p", sampling(), 5, None)
    events = list(Generator(model, config()).complete(request, lambda: next(asked, True)))
    assert not any(isinstance(item, Finished) for item in events)
    assert text_of(events) == "a" * after
    assert (model.count, len(model.prompts)) == (after, 1)


def test_nothing_is_read_for_a_caller_that_has_gone_while_waiting():
    """A request whose caller disconnected while it waited does not use the model."""
    model = ScriptedModel([b"a"])
    request = CompletionInput("p", sampling(), 1, None)
    assert list(Generator(model, config()).complete(request, lambda: True)) == []
    assert model.prompts == []


class Patient(ScriptedModel):
    """A model that checks, while it reads, whether it should continue."""

    def begin_unless(self, tokens, is_cancelled):
        return None if is_cancelled() else self.begin(tokens)


def test_a_prompt_is_left_unread_when_its_caller_goes():
    """A model that can stop within a prompt is asked to, and nothing is answered."""
    generator = Generator(Patient([b"a"]), config())
    asked = iter([False])
    request = CompletionInput("p", sampling(), 2, None)
    assert list(generator.complete(request, lambda: next(asked, True))) == []
    assert text_of(complete(generator)) == "a"


def test_requests_take_turns():
    """A request waits for the one before it; closing that one, unfinished, frees the model."""
    generator = generator_of(b"a", b"b")
    first = complete(generator)
    assert isinstance(next(first), Started)
    found = []
    second = threading.Thread(target=lambda: found.extend(complete(generator)))
    with closing(first):
        second.start()
        assert next(first).text == "a"
    second.join(60)
    assert text_of(found) == "ab"


def test_an_engine_that_fails_frees_the_model():
    """The error reaches the caller, and the next request is answered."""
    model = ScriptedModel([b"a", b"b"])
    generator = Generator(model, config())

    def fail(count):
        if count == 1:
            raise ZeroDivisionError

    model.before_token = fail
    with pytest.raises(ZeroDivisionError):
        list(complete(generator))
    model.before_token = lambda count: None
    assert text_of(complete(generator)) == "ab"


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers():
    """It has to leave one token for the answer; a larger max_tokens yields to the room."""
    generator = generator_of(*[b"a"] * 30, max_length=20)
    for prompt, wanted, room in ((10, 10, 10), (10, 11, 10), (19, 1000, 1), (10, 3, 3)):
        assert text_of(complete(generator, "x" * prompt, max_tokens=wanted)) == "a" * room
    for prompt in (20, 21):
        with pytest.raises(MealkitError, match=rf"{prompt} tokens.*context length is 20 tokens"):
            complete(generator, "x" * prompt, max_tokens=1)


@pytest.mark.parametrize(
    ("prompt", "fields", "code"),
    [
        ("", {}, "REQUEST_INVALID"),
        ("p", {"logit_bias": {-1: 1.0}}, "REQUEST_INVALID"),
        ("p", {"logit_bias": {5000: 1.0}}, "REQUEST_INVALID"),
    ],
)
def test_requests_that_make_no_sense_are_refused_before_their_turn(prompt, fields, code):
    """Nothing of them reaches the model."""
    model = ScriptedModel()
    with pytest.raises(MealkitError, match=code):
        complete(Generator(model, config()), prompt, **fields)
    assert model.prompts == []


def test_a_model_without_a_template_has_no_chats():
    """chat_template: none means no chat; model, where there is none, does not start."""
    with pytest.raises(MealkitError, match="REQUEST_UNSUPPORTED"):
        chat(generator_of(chat_template="none"))
    model = ScriptedModel()
    model.chat_template = None
    with pytest.raises(MealkitError, match="ENGINE_START"):
        Generator(model, config())


def test_the_end_token_has_no_text():
    """A token that ends an answer is counted, and never told."""
    events = list(complete(generator_of(b"a"), alternatives=1))
    assert END.decode() not in text_of(events)
    assert sum(len(item.tokens) for item in events if isinstance(item, Written)) == 1


def test_calls_of_tools_are_told_apart_from_text():
    """Text before a call comes as it is written; the call comes whole; the reason says so."""
    pieces = [CALL[place : place + 3] for place in range(0, len(CALL), 3)]
    events = list(chat(with_tools(b"I ", b"add.", b"\n", *pieces, b"\n", CALL), tools()))
    assert text_of(events) == "I add."
    call = Called(0, FunctionCall("add", '{"x": 1}'))
    assert [item for item in events if isinstance(item, Called)] == [call, call]
    assert events[-1].reason == "tool_calls"


def test_one_call_is_the_end_if_only_one_may_be():
    """Without parallel calls the answer ends with the first, and later ones are not generated."""
    events = list(chat(with_tools(CALL, b"\n", CALL), tools(parallel=False)))
    assert [type(item) for item in events] == [Started, Called, Finished]
    assert events[-1] == Finished(0, "tool_calls", 1)


def test_a_call_that_a_stop_text_cuts_is_not_text():
    """What the answer has before the call is left; a call that lacks only its tag is one."""
    events = list(chat(with_tools(b"I add.", CALL), tools(), stop=('"x"',)))
    assert (text_of(events), events[-1].reason) == ("I add.", "stop")
    events = list(chat(with_tools(b"I add.", CALL), tools(), stop=("</tool",)))
    assert (text_of(events), events[-1].reason) == ("I add.", "tool_calls")


@pytest.mark.parametrize(
    "written",
    [
        b'<tool_call>{"name": "divide", "arguments": {}}</tool_call>',
        b'<tool_call>{"name": "add", "arguments": "x"}</tool_call>',
        b'<tool_call>{"name": "add"}</tool_call>',
        b"<tool_call>add(1)</tool_call>",
        b"<tool_call>[]</tool_call>",
        b'<tool_call>{"name": "add", "arguments"',
        b"<tool_cal",
    ],
)
def test_what_is_no_call_stays_text(written):
    """No text of the model is lost, and no function is called by mistake."""
    events = list(chat(with_tools(b"see: ", written), tools()))
    assert text_of(events) == "see: " + written.decode()
    assert events[-1].reason == "stop"


def test_without_tools_a_call_is_text():
    """Only a request with tools has calls; tool_choice none is one without."""
    for given_tools in (None, tools("none")):
        events = list(chat(with_tools(CALL), given_tools))
        assert text_of(events) == CALL.decode()


def test_likelihoods_are_told_with_calls_too():
    """Every token of a call is returned, though its text is not."""
    pieces = [CALL[:20], CALL[20:]]
    events = list(chat(with_tools(b"hm ", *pieces), tools(), alternatives=0))
    told = [t.chosen.piece for item in events if isinstance(item, Written) for t in item.tokens]
    assert told == [b"hm ", *pieces]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tool_calls": "none", "template": TOOL_TEMPLATE}, "tool_calls of this kit is none"),
        ({"tool_calls": "hermes"}, "does not support tools"),
    ],
)
def test_tools_need_a_model_that_knows_them(fields, said):
    """A template that says nothing of tools, or a kit that does not, is a clear refusal."""
    with pytest.raises(MealkitError, match=said) as caught:
        chat(generator_of(**fields), tools())
    assert caught.value.problems[0].code == "REQUEST_UNSUPPORTED"
