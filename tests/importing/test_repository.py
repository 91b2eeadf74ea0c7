"""A repository's small files say what they say, and what cannot be read says nothing."""

import pytest

from mealkit.importing.repository import Repository, spdx


def repository(**texts):
    named = {name.replace("__", "."): text for name, text in texts.items()}
    return Repository("someone/Some-7B", "0" * 40, dict.fromkeys(named, 1), named, {}, "from-hub")


def with_card(text):
    return repository(README__md=text)


def test_its_name_is_without_its_owner():
    """A kit is named after it."""
    assert repository().name == "Some-7B"


@pytest.mark.parametrize("mark", ["", "\ufeff", "\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "  \n"])
def test_a_card_is_the_head_of_the_readme(mark, end):
    """With or without a byte order mark, with the line breaks of any system."""
    card = with_card(f"{mark}---\nlicense: mit\ntags: [a]\n---\n# Title\n".replace("\n", end)).card
    assert card == {"license": "mit", "tags": ["a"]}


def test_a_card_ends_at_a_line_of_its_own():
    """Not at a field that begins with three dashes."""
    assert with_card("---\ntags: [a]\n---x: 1\nlicense: mit\n---\n# Title\n").card == {
        "tags": ["a"],
        "---x": 1,
        "license": "mit",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Title\n",
        "---\nlicense: mit\n",
        "text\n---\nlicense: mit\n---\n",
        "---\n- a\n---\n",
        "---\na: &a [*a]\n---\n",
        f"---\na: {'x' * 300_000}\n---\n",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_card_says_nothing(text):
    """Missing, without an end, not at the top, no map, too large."""
    assert with_card(text).card == {}


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\npipeline_tag: text-generation\n---\n", "text-generation"),
        ("---\npipeline_tag: [a]\n---\n", "from-hub"),
        ("", "from-hub"),
    ],
)
def test_the_cards_task_counts_before_the_hubs(card, expected):
    """If it is a text."""
    assert with_card(card).tag == expected


@pytest.mark.parametrize("text", ["", "{", "[1]", '"a"', '{"a": 1, "a": 2}', "\ud800"])
def test_a_file_that_is_no_object_is_empty(text):
    """As one that is missing."""
    assert repository(config__json=text).map("config.json") == {}
    assert repository().map("config.json") == {}


def test_a_list_is_read_where_a_list_may_be():
    """modules.json is one."""
    assert repository(modules__json="[1]").json("modules.json") == [1]


def test_the_text_model_of_a_larger_one_is_what_counts():
    """Its values stand over the rest."""
    text = '{"model_type": "both", "hidden_size": 1, "text_config": {"hidden_size": 2}}'
    config = repository(config__json=text).config()
    assert (config["model_type"], config["hidden_size"]) == ("both", 2)
    assert repository(config__json='{"text_config": 1}').config() == {"text_config": 1}


@pytest.mark.parametrize(
    ("stated", "name", "expected"),
    [
        ("apache-2.0", None, "Apache-2.0"),
        (" MIT ", None, "MIT"),
        ("gpl-3.0", None, "GPL-3.0-only"),
        ("llama3", None, "LicenseRef-llama3"),
        ("other", "Our Own License!", "LicenseRef-Our-Own-License-"),
        ("other", None, "LicenseRef-other"),
        ("other", " ", "LicenseRef-other"),
        ("mit", "another", "MIT"),
        ("unknown", None, None),
        ("", None, None),
        (None, "name", None),
        (["mit"], None, None),
    ],
)
def test_a_licence_is_an_spdx_identifier(stated, name, expected):
    """One that the Hub does not list is a reference, and no licence stays none."""
    assert spdx(stated, name) == expected


def test_a_licences_name_is_bounded():
    """It is written into the kit."""
    assert len(spdx("other", "x" * 10_000) or "") < 250
