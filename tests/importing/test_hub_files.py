"""Of a repository, a kit takes the weights in one format and the configs beside them."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.engine_part import how_served
from mealkit.importing.hub_files import (
    INDEX,
    beside,
    chosen,
    file_of_quantisation,
    left_behind,
    missing_tokenizer,
    require_file,
    tokenizer_of,
    weights_of,
)
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
        (("model.safetensors", "model-int8.safetensors"), ["model.safetensors"]),
        (("model.fp16.safetensors", "model.safetensors"), ["model.safetensors"]),
        (
            ("model-00001-of-00001.safetensors", "consolidated-00001-of-00001.safetensors"),
            ["model-00001-of-00001.safetensors"],
        ),
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
        "someone/m",
        "0" * 40,
        dict.fromkeys([*names, INDEX], 1),
        {INDEX: json.dumps({"weight_map": shards})},
    )
    assert weights_of(found).get("safetensors", []) == expected
    assert (INDEX in beside(found, how_served("vllm"))) is (not missing)


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
@pytest.mark.parametrize(("there", "missing"), [((1, 3), 2), ((2,), 1)])
def test_shards_without_the_others(engine, there, missing):
    """A part of a model is not a model; some tools count parts from 0."""
    names = [f"model-0000{number}-of-00003.safetensors" for number in there]
    with pytest.raises(MealkitError, match=f"not model-0000{missing}-of-00003"):
        picked(engine, *names)
    every = [f"model-0000{number}-of-00003.safetensors" for number in (0, 1, 2)]
    assert picked("vllm", *every) == every


def test_statistics_of_a_quantisation_are_not_a_model():
    """The one model beside them needs no name."""
    names = ("m-Q4_K_M.gguf", "m-imatrix.gguf", "imatrix_unsloth.gguf")
    assert weights_of(repository(*names))["gguf"] == ["m-Q4_K_M.gguf"]
    (item,) = left_behind(repository(*names), ["m-Q4_K_M.gguf"])
    assert item.what == "imatrix_unsloth.gguf, m-imatrix.gguf"


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


@pytest.mark.parametrize(
    ("engine", "names", "said"),
    [
        ("transformers", ["gptq_model-4bit-128g.safetensors"], "reads model.safetensors"),
        ("transformers", ["model-00001-of-00001.safetensors"], "reads model.safetensors"),
        ("vllm", ["a.safetensors", "b.safetensors"], "several models, which vllm would load"),
    ],
)
def test_names_of_weights_that_an_engine_does_not_read(engine, names, said):
    """A kit of them would not start, or would have two models in one."""
    with pytest.raises(MealkitError, match=f"KIT_INVALID.*{said}"):
        picked(engine, *names)


@pytest.mark.parametrize(
    "names", [["gptq_model-4bit-128g.safetensors"], ["model-00001-of-00001.safetensors"]]
)
def test_names_of_weights_that_vllm_reads(names):
    """It loads every file of safetensors."""
    assert picked("vllm", *names) == names


def test_a_file_that_the_engine_does_not_choose_by():
    """It would be ignored, so it is refused."""
    with pytest.raises(MealkitError, match=r"USAGE.*does not choose by model\.safetensors"):
        picked("vllm", "model.safetensors", file="model.safetensors")


def test_any_part_of_a_gguf_names_it():
    """A missing part is an error of the repository."""
    parts = [f"d/m-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert picked("llama-cpp", *parts, "o.gguf", file=parts[1]) == parts
    with pytest.raises(MealkitError, match=r"SOURCE_NOT_FOUND.*m-00002-of-00002"):
        picked("llama-cpp", parts[0])


@pytest.mark.parametrize(
    ("quantisation", "expected"),
    [
        ("Q4_K_M", "m-Q4_K_M.gguf"),
        ("q8_0", "m.q8_0.gguf"),
        ("F16", "m-F16.gguf"),
        ("BF16", "BF16/m-00001-of-00002.gguf"),
        ("Q4_K", None),
        ("latest", None),
        ("m", None),
    ],
)
def test_a_quantisation_is_a_word_of_the_name(quantisation, expected):
    """Of one model, and not of its projector; else the files are listed."""
    names = [
        *("m-Q4_K_M.gguf", "m.q8_0.gguf", "m-F16.gguf", "mmproj-F16.gguf"),
        *("BF16/m-00001-of-00002.gguf", "BF16/m-00002-of-00002.gguf"),
    ]
    sizes = dict.fromkeys(names, 2**20)
    if expected is not None:
        assert file_of_quantisation("a/b", sizes, quantisation) == expected
        return
    with pytest.raises(MealkitError, match="USAGE") as caught:
        file_of_quantisation("a/b", sizes, quantisation)
    assert "m-Q4_K_M.gguf (1 MiB)" in caught.value.problems[0].hint


def test_a_projector_is_not_a_model():
    """It is listed, and does not make a second model."""
    names = ("m.gguf", "mmproj-m-f16.gguf")
    assert picked("llama-cpp", *names) == ["m.gguf"]
    with pytest.raises(MealkitError, match=r"USAGE.*is not a model"):
        require_file(repository(*names), names[1])
    (item,) = left_behind(repository(*names), ["m.gguf"])
    assert (item.what, "pictures" in item.why) == ("mmproj-m-f16.gguf", True)


@pytest.mark.parametrize(
    ("engine", "names", "files"),
    [
        ("transformers", ["tokenizer.json", "vocab.txt"], ["tokenizer.json"]),
        ("transformers", ["vocab.txt"], ["vocab.txt"]),
        ("vllm", ["tekken.json"], ["tekken.json"]),
        ("transformers", ["tekken.json"], None),
        ("vllm", ["vocab.json"], None),
        ("onnx", ["vocab.txt"], None),
        ("vllm", ["qwen.tiktoken", "tokenization_qwen.py"], None),
        ("vllm", ["sentencepiece.bpe.model"], None),
        ("vllm", [], None),
        ("llama-cpp", [], None),
    ],
)
def test_tokenizers_are_taken_or_listed(engine, names, files):
    """In the first form that the engine reads."""
    found, how = repository(*names), how_served(engine)
    form = tokenizer_of(found, how)
    assert (list(form.files) if form else None) == files
    assert set(files or []) <= set(beside(found, how))
    item = missing_tokenizer(found, engine, how)
    assert (item is None) is (files is not None or engine == "llama-cpp")
    for name in names if item else ():
        is_listed = name in item.why or engine == "onnx" or name.endswith((".py", "vocab.json"))
        assert is_listed


def test_a_file_of_openvino_is_not_a_pickle():
    """It has only numbers."""
    with pytest.raises(
        MealkitError, match="it has no GGUF, which llama-cpp reads, but safetensors"
    ):
        picked("llama-cpp", "openvino/openvino_model.bin", "model.safetensors")


def test_files_that_are_not_read_are_listed_in_one_line():
    """But not those that only describe the repository."""
    names = ["a.yaml", "params.json", "SYSTEM_PROMPT.txt", "z.bin.index.json"]
    others = [
        "LICENSE.txt",
        "images/a.png",
        ".gitattributes",
        "README.md",
        "2_Normalize/config.json",
    ]
    (item,) = left_behind(repository(*names, *others), [])
    assert item.what == "SYSTEM_PROMPT.txt, a.yaml, params.json and 1 more"
