"""What an engine types in a kit is checked with its lines, and written out in full."""

import pytest

from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.recipe.kit import Task


def _line(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_values_are_written_out_in_full(write_kit, good):
    """No default of an engine stays unsaid."""
    parts = check_engine_parts(load_kit(write_kit(good)))
    assert parts.problems == ()
    assert parts.task is Task.EMBEDDINGS
    assert parts.hyperparameters == {
        "pooling": "mean",
        "max_length": 256,
        "normalize": True,
        "overlong": "refuse",
    }
    assert parts.settings == {"graph": "model.onnx", "threads": 2}


def test_the_task_is_the_engines_first_if_the_kit_names_none(write_kit, good):
    """And the hyperparameters are that task's."""
    parts = check_engine_parts(load_kit(write_kit(good.replace("  task: embeddings\n", ""))))
    assert (parts.task, parts.problems) == (Task.EMBEDDINGS, ())


@pytest.mark.parametrize(
    ("before", "after", "code", "marker", "message", "hint"),
    [
        (
            "pooling: mean",
            "pooling: max",
            "KIT_INVALID",
            "pooling",
            "hyperparameters.pooling is 'max'",
            "mean, cls",
        ),
        (
            "pooling: mean",
            "poolin: mean",
            "KIT_UNKNOWN_FIELD",
            "poolin:",
            "hyperparameters.poolin",
            "'pooling'",
        ),
        (
            "  normalize: true\n",
            "",
            "KIT_FIELD_MISSING",
            "hyperparameters:",
            "hyperparameters.normalize is missing",
            "scaled to length 1",
        ),
        (
            "max_length: 256",
            "max_length: 2.5e2",
            "KIT_INVALID",
            "max_length",
            "hyperparameters.max_length is 2.5e2",
            "whole number",
        ),
        (
            "threads: 2",
            "threads: 0",
            "KIT_INVALID",
            "threads",
            "runtime.settings.threads is 0, expected at least 1",
            "",
        ),
        (
            "threads: 2",
            "graph: ../model.onnx",
            "KIT_INVALID",
            "graph: ..",
            "'../model.onnx' is not a path inside a folder",
            "",
        ),
        (
            "engine: onnx",
            "engine: onyx",
            "KIT_INVALID",
            "engine",
            "the engine 'onyx' does not exist",
            "onnx",
        ),
    ],
)
def test_mistakes_name_their_line(before, after, code, marker, message, hint, write_kit, good):
    """As those in the kit's own fields do."""
    text = good.replace(before, after, 1)
    (found,) = check_engine_parts(load_kit(write_kit(text))).problems
    assert found.code == code
    assert found.where.endswith(f"kit.yaml:{_line(text, marker)}")
    assert message in found.message
    assert hint in found.hint


def test_problems_of_both_parts_come_at_once(write_kit, good):
    """Hyperparameters and settings are checked in one run."""
    text = good.replace("pooling: mean", "pooling: max").replace("threads: 2", "threads: 0")
    assert len(check_engine_parts(load_kit(write_kit(text))).problems) == 2


GENERATES = """\
hyperparameters: {max_length: 512, max_tokens: 64, temperature: 0.5}
runtime:
  engine: llama-cpp
  settings: {model: tiny.gguf}
"""


def _generates(good: str) -> str:
    """The same kit, for text generation."""
    before, rest = good.split("hyperparameters:")
    after = rest.split("  settings: {threads: 2}\n")[1]
    return before.replace("task: embeddings", "task: generation") + GENERATES + after


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("heat: {}", "overrides.heat: callers cannot set it"),
        ("max_length: {maximum: 100}", "overrides.max_length: callers cannot set it"),
        ("chat_template: {}", "overrides.chat_template: callers cannot set it"),
        ("max_tokens: {maximum: 10}", "the kit's own value 64 is outside these bounds"),
        ("temperature: {minimum: 1}", "the kit's own value 0.5 is outside these bounds"),
    ],
)
def test_overrides_that_cannot_be_name_their_line(write_kit, good, overrides, message):
    """A name that no request has a parameter for, and bounds that leave out the kit's own value."""
    text = f"{_generates(good)}overrides:\n  {overrides}\n"
    (found,) = check_engine_parts(load_kit(write_kit(text))).problems
    assert found.code == "KIT_INVALID"
    assert message in found.message
    assert found.where is not None
    assert found.where.endswith(f"kit.yaml:{_line(text, overrides)}")


def test_overrides_with_bounds_or_without_hold(write_kit, good):
    """The kit's own value may lie on a bound."""
    overrides = "overrides:\n  temperature: {minimum: 0.5, maximum: 1}\n  seed: {}\n"
    assert check_engine_parts(load_kit(write_kit(_generates(good) + overrides))).problems == ()


def test_a_task_whose_requests_have_none_takes_no_overrides(write_kit, good):
    """They would stand in the kit and do nothing."""
    text = f"{good}overrides:\n  max_length: {{}}\n"
    (found,) = check_engine_parts(load_kit(write_kit(text))).problems
    assert "requests for embeddings have no such parameters" in found.hint
