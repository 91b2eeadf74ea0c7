"""The kit's system prompt in conversations: chats, responses, and what is counted."""

import pytest
from runtime.api.conftest import MODEL_NAME

from mealkit.errors import LockError
from mealkit.recipe.kit import Feature
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES
from mealkit.runtime.api.tokenize import TOKENIZE

USER = {"role": "user", "content": "hello"}
OWN = {"role": "system", "content": "Be rude."}
DEVELOPER = {"role": "developer", "content": "Be loud."}
KITS = {"role": "system", "content": "Be brief."}


@pytest.fixture
def pinned(offer):
    """Work out what a kit offers whose system prompt has a placement: ``pinned("before")``."""

    def make(placement, text="Be {{ manner }}.\n", values=None, **changes):
        values = {"manner": "brief"} if values is None else values
        return offer(
            features=frozenset(Feature),
            prompts={"system": (text, tuple(values)), "ask": ("And {{ text }}?", ("text",))},
            system_prompt={"prompt": "system", "placement": placement, "values": values},
            **changes,
        )

    return make


@pytest.mark.parametrize("placement", ["before", "instead", "default"])
def test_a_client_that_sends_none_gets_the_kits(pinned, ask, placement):
    """With each placement, in each API, whole or streamed, and in what is counted."""
    kit = pinned(placement)
    assert ask(CHAT, kit, messages=[USER])["messages"] == [KITS, USER]
    assert ask(CHAT, kit, messages=[USER], stream=True)["messages"] == [KITS, USER]
    assert ask(RESPONSES, kit, input="hello")["messages"] == [KITS, USER]
    assert ask(TOKENIZE, kit, messages=[USER])["messages"] == [KITS, USER]


@pytest.mark.parametrize(
    ("placement", "sent", "expected", "outcome"),
    [
        ("before", [OWN, USER], [{**KITS, "content": "Be brief.\n\nBe rude."}, USER], "before"),
        (
            "before",
            [DEVELOPER, USER],
            [{"role": "developer", "content": "Be brief.\n\nBe loud."}, USER],
            "before",
        ),
        ("before", [{**OWN, "content": ""}, USER], [KITS, USER], "before"),
        ("before", [USER, OWN, USER], [KITS, USER, OWN, USER], "before"),
        ("before", [USER], [KITS, USER], "added"),
        ("instead", [OWN, DEVELOPER, USER, OWN, USER], [KITS, USER, USER], "instead"),
        ("instead", [OWN], [KITS], "instead"),
        ("default", [OWN, USER], [OWN, USER], "left-out"),
        ("default", [USER, DEVELOPER, USER], [USER, DEVELOPER, USER], "left-out"),
        ("default", [{**OWN, "content": ""}, USER], [{**OWN, "content": ""}, USER], "left-out"),
    ],
)
def test_beside_a_callers_own(pinned, ask, placement, sent, expected, outcome):
    """The kit decides what becomes of system and developer messages, and says what it did."""
    kit = pinned(placement)
    assert ask(CHAT, kit, messages=sent)["messages"] == expected
    asked = CHAT.prepare({"model": MODEL_NAME, "messages": sent}, kit)
    assert asked.system_prompt == outcome
    # What the caller wrote is the data that a contract is about; the kit's text is not.
    assert asked.inputs.values["messages"] == sent


def test_instructions_are_the_callers_own(pinned, ask):
    """In the Responses API the caller's own text has another name."""
    own = {"instructions": "Be rude.", "input": "hello"}
    both = {"role": "system", "content": "Be brief.\n\nBe rude."}
    assert ask(RESPONSES, pinned("before"), **own)["messages"] == [both, USER]
    assert ask(RESPONSES, pinned("instead"), **own)["messages"] == [KITS, USER]
    assert ask(RESPONSES, pinned("default"), **own)["messages"] == [OWN, USER]


def test_with_a_named_prompt(pinned, ask):
    """A prompt by its name is a message of the user; a conversation of nothing is none."""
    kit = pinned("before")
    body = ask(CHAT, kit, prompt="ask", variables={"text": "why"})
    assert body["messages"] == [KITS, {"role": "user", "content": "And why?"}]
    assert ask(CHAT, kit) == ("REQUEST_INVALID", "messages")
    assert ask(CHAT, kit, messages=[]) == ("REQUEST_INVALID", "messages")


def test_a_text_to_continue_is_no_conversation(pinned, ask):
    """The caller of a completion writes all of the model's input."""
    assert ask(COMPLETIONS, pinned("instead"), prompt="hello")["prompt"] == "hello"
    assert ask(TOKENIZE, pinned("instead"), prompt="hello")["prompt"] == "hello"


def test_a_kit_without_one_adds_nothing(offer, ask):
    """Neither a message nor a header."""
    kit = offer(features=frozenset(Feature))
    assert ask(CHAT, kit, messages=[USER])["messages"] == [USER]
    assert CHAT.prepare({"model": MODEL_NAME, "messages": [USER]}, kit).system_prompt == ""


def test_a_text_that_is_empty_adds_nothing(pinned, ask):
    """As a test of the salt asks for, which leaves out a prompt's text."""
    assert ask(CHAT, pinned("instead", "\n", {}), messages=[OWN, USER])["messages"] == [OWN, USER]


def test_only_the_last_line_break_is_the_files(pinned, ask):
    """Others are the text's."""
    (system, _) = ask(CHAT, pinned("before", "a\n\n", {}), messages=[USER])["messages"]
    assert system["content"] == "a\n"


def test_a_prompt_that_fails_with_the_kits_values_is_the_locks_fault(pinned):
    """Before the first request, with the reason."""
    with pytest.raises(LockError, match="system prompt cannot be written"):
        pinned("before", "{{ 1 // (manner | length) }}", {"manner": ""})


def test_a_lock_names_one_of_its_prompts(make_api_lock):
    """A lock from elsewhere that names none is refused when it is read."""
    form = make_api_lock(
        prompts={"system": ("Be brief.", ())},
        system_prompt={"prompt": "system", "placement": "before"},
    ).model_dump(mode="json", by_alias=True)
    with pytest.raises(ValueError, match="none of the prompts"):
        Lock.model_validate({**form, "prompts": {}}, strict=False)
