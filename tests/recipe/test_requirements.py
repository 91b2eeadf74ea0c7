"""Requirements travel as an annotation: small, complete, readable by a mealkit that knows them."""

import json

import pytest
from fakes.needs import SEVENTY_4BIT, gpu_needs

from mealkit.digest import canonical_json
from mealkit.errors import StoreError
from mealkit.recipe.requirements import ANNOTATION, read_requirements

# What kits stated first.
OLD = {
    "architectures": ["amd64"],
    "gpu": "required",
    "memory_bytes": 1024,
    "disk_bytes": 2048,
    "weights_bytes": 512,
}


def test_there_and_back():
    """Nothing is lost, and it is a few KB of an annotation."""
    needs = gpu_needs(SEVENTY_4BIT, flags={"tensor_parallel_size": 2})
    text = canonical_json(needs.model_dump(mode="json"))
    assert len(text) < 3000
    assert read_requirements({ANNOTATION: text.decode()}, "here") == needs
    assert needs.gpus == 2


def test_older_kits_say_less():
    """What they do not say is unknown, one GPU is assumed."""
    needs = read_requirements({ANNOTATION: json.dumps(OLD)}, "here")
    assert (needs.model, needs.demand, needs.cuda, needs.built_for) == (None, None, None, {})
    assert needs.gpus == 1


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({}, "it states no requirements"),
        ({ANNOTATION: "{"}, "cannot be read"),
        ({ANNOTATION: json.dumps(OLD | {"quantum": True})}, "cannot be read: quantum"),
        ({ANNOTATION: json.dumps(OLD | {"cuda": "new"})}, "cannot be read: cuda"),
        ({ANNOTATION: json.dumps({"gpu": "required"})}, "cannot be read: architectures"),
    ],
)
def test_what_cannot_be_checked_is_refused(annotations, message):
    """A need that this mealkit does not know must not pass in silence."""
    with pytest.raises(StoreError) as caught:
        read_requirements(annotations, "registry.example.invalid/kit:1")
    (problem,) = caught.value.problems
    assert problem.code == "IMAGE_INVALID"
    assert message in problem.message
    assert problem.where == "registry.example.invalid/kit:1"
