"""A kit cannot require what its engine does not run with."""

import pytest
from fakes.little import little_form, write_kit

from mealkit.engines.registry import engine_names, recipe_of
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.kit.requirement_lines import contradicts, fault_in


def test_each_bound_fits_what_the_engine_asks_for():
    """In the form of a requirement; no bound excludes another."""
    for name in engine_names():
        recipe = recipe_of(name)
        for task in recipe.hyperparameters:
            for device in ("cpu", "cuda"):
                settings = {"device": device}
                wanted = recipe.requirements_for(task, settings)
                bounds = recipe.bounds_for(task, settings)
                assert all(fault_in(item) is None for item in (*wanted, *bounds))
                assert not any(contradicts(item, bound) for item in wanted for bound in bounds)


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("pydantic<2", "the engine python needs pydantic>=2.5"),
        ("pydantic==1.10.13", "the engine python needs pydantic>=2.5"),
        ("pydantic<3", None),
        ("six", None),
    ],
)
def test_a_requirement_that_excludes_the_engines_is_named(tmp_path, requirement, said):
    """With the line, before anything is resolved."""
    runtime = {
        "engine": "python",
        "settings": {"handler": "handler.py:Handler"},
        "code": ["handler.py"],
        "base": {"source": "debian", "suite": "trixie"},
        "python": "3.13",
        "requirements": [requirement],
    }
    model = {"name": "m", "license": "MIT", "task": "prediction", "weights": []}
    form = little_form(runtime=runtime, model=model, prompts={}, hyperparameters={})
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "handler.py").write_text(
        "class Handler:\n    def predict(self, text: str) -> str:\n        return text\n"
    )
    problems = check_engine_parts(load_kit(write_kit(folder, form))).problems
    assert [item.message for item in problems] == (
        [f"runtime.requirements.0: {requirement}: {said}"] if said else []
    )
