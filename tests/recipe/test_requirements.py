"""Requirements travel as an annotation: small, complete, readable by a mealkit that knows them."""

import json

import pytest
from fakes.engines import report_of
from fakes.machines import machine
from fakes.needs import SEVENTY_4BIT, gpu_needs

from mealkit.digest import canonical_json
from mealkit.errors import StoreError
from mealkit.preflight.finding import Severity
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


def test_older_demands_are_read_and_written_as_they_were():
    """Every field keeps the name that kits state it by, the library's version too."""
    demand = {
        "engine": "transformers",
        "context_tokens": 512,
        "concurrency": 1,
        "kv_dtype": "f32",
        "float_bytes": 4,
        "tensor_parallel": 1,
        "layer_split": 1,
        "utilisation": 0.9,
        "batched_tokens": 8192,
        "cuda_graphs": True,
        "micro_batch": 512,
        "flash_attention": True,
        "transformers_version": [4, 44],
    }
    needs = read_requirements({ANNOTATION: json.dumps(OLD | {"demand": demand})}, "here")
    assert needs.demand is not None
    assert needs.demand.library_version == (4, 44)
    assert needs.model_dump(mode="json")["demand"] == demand


def test_an_engine_that_this_mealkit_does_not_have():
    """Its demand is read; the preflight says that its memory cannot be told, and does not pass it."""
    needs = gpu_needs()
    form = json.loads(needs.model_dump_json())
    form["demand"]["engine"] = "house-made"
    found = read_requirements({ANNOTATION: json.dumps(form)}, "here")
    report = report_of(machine("l4"), found)
    (vram,) = (item for item in report.findings if item.code == "FIT_VRAM")
    assert vram.severity is Severity.WARNS
    assert vram.required == "unknown: mealkit cannot estimate the memory of house-made"


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({}, "the image states no requirements"),
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
