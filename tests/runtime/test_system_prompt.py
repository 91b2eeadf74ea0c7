"""A kit's system prompt through a real engine and an unmodified client, for each placement."""

import openai
import pytest
from engines.numpy_llama import greedy
from runtime.conftest import failed
from runtime.test_every_engine import LIBRARY, TINY_LLAMA, onnx

from mealkit.engines.registry import recipe_of
from mealkit.recipe.kit import Task

TEXT = "You answer in few words."
OWN = {"role": "system", "content": "You know Python."}
QUESTION = {"role": "user", "content": "What does join do?"}


@pytest.fixture(scope="module", params=["before", "instead", "default"])
def placement(request):
    return request.param


@pytest.fixture(scope="module")
def begin(make_shared_lock, start_shared, request):
    """Start the kit with the engine onnx: ``begin(placement)``, or with another chat template."""

    def run(placement, **weights):
        case, recipe = onnx(request), recipe_of("onnx")
        model = recipe.hyperparameters[Task.GENERATION]
        values = model.model_validate({**case.values, "temperature": 0, "max_tokens": 24})
        settings = recipe.settings.model_validate({}).model_dump(mode="json")
        hyperparameters = values.model_dump(mode="json")
        files = {**case.weights, **weights}
        lock = make_shared_lock(
            settings=settings,
            worker=recipe.worker,
            hyperparameters=hyperparameters,
            weights=files,
            task=case.task,
            features=recipe.features(case.task, hyperparameters, settings),
            engine="onnx",
            environment=recipe.environment,
            prompts={"system": ("You answer in {{ count }} words.\n", ("count",))},
            system_prompt={"prompt": "system", "placement": placement, "values": {"count": "few"}},
        )

        def place(root):
            for name, data in files.items():
                target = root / "models" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)

        return start_shared(lock, change=place, environment={"MEALKIT_ENGINE_PATH": LIBRARY})

    return run


@pytest.fixture(scope="module")
def client(placement, begin):
    """OpenAI's own client of a kit with the placement."""
    kit = begin(placement).wait_ready()
    with openai.OpenAI(base_url=f"{kit.client.base_url}/v1", api_key="any", max_retries=0) as found:
        yield found


def test_the_model_reads_it(client, placement):
    """The answer is that of the arithmetic for the whole conversation, in both APIs."""
    whole = {"before": f"{TEXT}\n\n{OWN['content']}", "instead": TEXT, "default": OWN["content"]}
    for sent, system, outcome in (
        ([QUESTION], TEXT, "added"),
        ([OWN, QUESTION], whole[placement], placement.replace("default", "left-out")),
    ):
        expected = greedy(TINY_LLAMA, QUESTION["content"], 24, system)
        chat = client.chat.completions.with_raw_response.create(model="stand-in", messages=sent)
        assert chat.parse().choices[0].message.content == expected
        assert chat.headers["x-mealkit-system-prompt"] == outcome
        answer = client.responses.create(model="stand-in", input=sent)
        assert answer.output_text == expected
        stream = client.chat.completions.create(model="stand-in", messages=sent, stream=True)
        pieces = [event.choices[0].delta.content or "" for event in stream if event.choices]
        assert "".join(pieces) == expected


def test_its_tokens_are_counted(client):
    """The usage of an answer, and what is tokenized, have the kit's text in them."""
    answer = client.chat.completions.create(model="stand-in", messages=[QUESTION])
    counted = client.post(
        "/tokenize", body={"model": "stand-in", "messages": [QUESTION]}, cast_to=object
    )
    assert counted["count"] == answer.usage.prompt_tokens > 30


def test_metadata_names_it(client, placement):
    """Which prompt and where it goes; its text is with the other prompts in the manifest."""
    said = client.get("/metadata", cast_to=object)["system_prompt"]
    assert (said["prompt"], said["placement"]) == ("system", placement)
    manifest = client.get("/manifest", cast_to=object)
    assert manifest["prompts"]["system"]["text"] == "You answer in {{ count }} words.\n"


def test_a_template_that_refuses_it_ends_the_start(begin):
    """The kit never becomes ready, and its author is named, not the first caller."""
    template = b"{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}a"
    problem = failed(begin("before", **{"tools.jinja": template}), "KIT_SYSTEM_ROLE", 3)
    assert problem["owner"] == "kit-author"
    assert "refuses the messages: no" in problem["message"]
