"""Of a repository, a kit takes the weights in one format and the configs beside them."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.engine_part import how_served
from mealkit.importing.hub_files import INDEX, beside, chosen, left_behind, weights_of
from mealkit.importing.repository import Repository


def repository(*names, **texts):
    named = {name.replace("__", "."): json.dumps(form) for name, form in texts.items()}
    return Repository("someone/m", "0" * 40, dict.fromkeys([*names, *named], 2**20), named)


def picked(engine, *names, file=None):
    how = how_served(engine)
    found = repository(*names)
    there = weights_of(found).get(how.weights, [])
    return list(chosen(found, there, engine, how, file))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("model.safetensors", "other.safetensors"), ["model.safetensors"]),
        (("a.safetensors", "adapter.safetensors", "x/b.safetensors"), ["a.safetensors"]),
    ],
)
def test_a_model_that_is_there_twice_is_taken_once(names, expected):
    """Neither another copy nor an adapter, nor what lies in a folder."""
    assert weights_of(repository(*names))["safetensors"] == expected


@pytest.mark.parametrize(("missing", "expected"), [(False, ["a-1", "a-2"]), (True, [])])
def test_shards_are_those_of_the_index_if_all_are_there(missing, expected):
    """Else the index is of another model."""
    shards = {"x": "a-2", "y": "a-1", "z": "a-2"}
    names = ["a-1"] if missing else ["a-1", "a-2"]
    found = Repository(
        "someone/m", "0" * 40, dict.fromkeys(names, 1), {INDEX: json.dumps({"weight_map": shards})}
    )
    assert weights_of(found).get("safetensors", []) == expected


def test_a_gguf_in_parts_is_named_by_its_first_and_taken_whole():
    """Its parts, and no other file's."""
    parts = [f"m-q4-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    names = [*parts, "m-q8-00001-of-00003.gguf"]
    assert weights_of(repository(*names))["gguf"] == [parts[0], "m-q8-00001-of-00003.gguf"]
    assert picked("llama-cpp", *names, file=parts[0]) == parts


def test_of_several_models_one_must_be_named():
    """The hint has them with their sizes."""
    names = ("a.gguf", "b.gguf")
    assert picked("llama-cpp", *names, file="b.gguf") == ["b.gguf"]
    assert picked("llama-cpp", "a.gguf") == ["a.gguf"]
    with pytest.raises(MealkitError, match=r"USAGE.*2 models") as caught:
        picked("llama-cpp", *names)
    assert "a.gguf (1 MiB)" in (caught.value.problems[0].hint or "")
    with pytest.raises(MealkitError, match=r"USAGE.*c.gguf does not exist"):
        picked("llama-cpp", *names, file="c.gguf")


@pytest.mark.parametrize(
    ("names", "code"), [((), "SOURCE_NOT_FOUND"), (("pytorch_model.bin",), "WEIGHTS_PICKLE")]
)
def test_without_weights_for_the_engine_it_is_refused(names, code):
    """Pickles are said to be what they are."""
    with pytest.raises(MealkitError, match=code):
        picked("transformers", *names)


def test_configs_that_are_there_are_taken_along():
    """Also those in the folders that modules.json names."""
    found = repository(
        *("tokenizer.json", "notes.txt", "1_Pooling/config.json", "model.safetensors"),
        config__json={},
        modules__json=[{"path": "1_Pooling"}, {"path": "none"}, {"path": ""}, 7],
    )
    assert set(beside(found, how_served("transformers"))) == {
        *("config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json")
    }


def test_what_is_left_behind_is_told_kind_by_kind():
    """The first three of a kind by their names."""
    names = [*(f"{number}.bin" for number in range(5)), "code.py", "x.onnx", "tokenizer.model"]
    found = list(left_behind(repository(*names, "README.md", "taken.gguf"), ["taken.gguf"]))
    assert [item.what for item in found] == [
        *("0.bin, 1.bin, 2.bin and 2 more", "code.py", "x.onnx", "tokenizer.model")
    ]
