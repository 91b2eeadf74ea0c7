"""A kit's prompts, filled in by name."""

import sys

import pytest

from mealkit.errors import MealkitError
from mealkit.runtime.api.prompt_set import Prompts


@pytest.fixture
def prompts(make_api_lock):
    """Compile prompts: ``prompts(name=(text, variables))``."""
    return lambda **texts: Prompts(make_api_lock(prompts=texts).prompts)


def refused(call, *arguments):
    with pytest.raises(MealkitError) as caught:
        call(*arguments)
    (problem,) = caught.value.problems
    return problem.code, problem.where


def test_prompts_are_found_by_name(prompts):
    """Names are sorted, variables are those that the lock declares, and others are refused."""
    kit = prompts(b=("{{ x }}", ("x",)), a=("plain", ()))
    assert kit.names == ["a", "b"]
    assert (kit.variables("b"), kit.variables("a")) == (("x",), ())
    assert refused(kit.variables, "c") == ("REQUEST_UNSUPPORTED", "prompt")


def test_plain_prompts_are_told_apart(prompts):
    """Text with variables is plain; a filter, a condition or a global is not."""
    kit = prompts(
        a=("A {{ x }} and {{ x }}", ("x",)),
        b=("{{ x | upper }}", ("x",)),
        c=("{% if x %}x{% endif %}", ("x",)),
        d=("{{ range }}", ()),
    )
    assert [kit.is_plain(name) for name in kit.names] == [True, False, False, False]
    assert kit.fill("a", {"x": "1"}) == "A 1 and 1"


def test_each_text_is_filled_in_by_itself(prompts):
    """Other variables are the same for all, and the order is kept."""
    kit = prompts(p=("{{ task }}: {{ text | upper }}", ("task", "text")))
    assert kit.fill_each("p", {"task": "t"}, "text", ["a", "b"]) == ["t: A", "t: B"]
    assert kit.fill_each("p", {"task": "t"}, "text", []) == []
    assert refused(kit.fill_each, "p", {}, "text", ["a"]) == ("REQUEST_INVALID", "variables.task")


def test_many_texts_share_a_budget(prompts):
    """Texts of which each is cheap enough are refused together when they cost too much."""
    kit = prompts(p=("{% for c in text %}{{ c }}{% endfor %}", ("text",)))
    texts = ["x" * 2000] * 2000
    assert kit.fill_each("p", {}, "text", texts[:3]) == texts[:3]
    assert refused(kit.fill_each, "p", {}, "text", texts) == ("REQUEST_TOO_LARGE", "input")


def test_a_kit_without_prompts_has_none(prompts):
    """Every name is refused."""
    kit = prompts()
    assert "jinja2" in sys.modules or kit.names == []
    assert refused(kit.fill, "p", {}) == ("REQUEST_UNSUPPORTED", "prompt")
