"""What a repository's model is for: stated, guessed and listed, or refused."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.hub_task import stated_task
from mealkit.importing.repository import Repository


def repository(config=None, card=None, **texts):
    named = {name.replace("__", "."): json.dumps(form) for name, form in texts.items()}
    named["config.json"] = json.dumps(config or {})
    named["README.md"] = f"---\n{json.dumps(card or {})}\n---\n"
    return Repository("a/b", "0" * 40, dict.fromkeys([*named, "model.safetensors"], 1), named)


def named(architecture, **more):
    return {"architectures": [architecture], **more}


ONE = {"id2label": {"0": "LABEL_0"}}
CLASSIFIER = named("BertForSequenceClassification")


@pytest.mark.parametrize(
    ("config", "tag", "task"),
    [
        (named("LlamaForCausalLM"), None, "generation"),
        (named("HunYuanDenseV1ForCausalLM"), "translation", "generation"),
        (named("QWenLMHeadModel"), "text-generation", "generation"),
        (named("LlamaForCausalLM"), "feature-extraction", "embeddings"),
        (CLASSIFIER, None, "classification"),
        (CLASSIFIER, "text-classification", "classification"),
        ({**CLASSIFIER, **ONE}, "text-ranking", "reranking"),
        ({**CLASSIFIER, "num_labels": 1}, "text-ranking", "reranking"),
    ],
)
def test_tag_and_architecture_state_the_task(config, tag, task):
    """Where both are there, they agree."""
    found = stated_task(repository(config, {"pipeline_tag": tag}), None)
    assert (found.task, found.left_out) == (task, ())


@pytest.mark.parametrize(
    ("config", "card", "task"),
    [
        ({}, {"library_name": "sentence-transformers"}, "reranking"),
        ({}, {"tags": ["cross-encoder"]}, "reranking"),
        ({"sbert_ce_default_activation_function": "torch.nn.Identity"}, {}, "reranking"),
        ({}, {}, "classification"),
    ],
)
def test_a_model_with_one_label(config, card, task):
    """What sentence-transformers loads is a reranker; another is a guess, which is listed."""
    config, card = {**CLASSIFIER, **ONE, **config}, {"pipeline_tag": "text-classification", **card}
    found = stated_task(repository(config, card), None)
    assert found.task == task
    assert bool(found.left_out) is (task == "classification")


@pytest.mark.parametrize(
    ("config", "tag", "said"),
    [
        (named("BertForTokenClassification"), "token-classification", "token classification is"),
        (named("RobertaForQuestionAnswering"), "question-answering", "finding answers"),
        (named("BertForMaskedLM"), "fill-mask", "filling gaps"),
        (named("BertForMaskedLM"), "text-classification", "which has another head"),
        (named("Qwen3ForCausalLM"), "text-ranking", "which has another head"),
        ({**CLASSIFIER, "num_labels": 3}, "text-ranking", "it has 3 labels"),
        ({**CLASSIFIER, **ONE, "problem_type": "regression"}, None, "not a probability"),
        (CLASSIFIER, "text-generation", "which has another head"),
        (named("T5ForConditionalGeneration"), "text-generation", "an encoder and a decoder"),
        (named("XForCausalLM", is_encoder_decoder=True), "text-generation", "decoders only"),
        (named("LlamaForCausalLM"), "text-to-speech", "text-to-speech, which is not a task"),
        ({}, "fill-mask", r"states its task \(the tag is fill-mask\)"),
    ],
)
def test_what_no_engine_serves_is_refused(config, tag, said):
    """A head that the weights lack would be made up of random numbers."""
    with pytest.raises(MealkitError, match=f"KIT_INVALID.*{said}"):
        stated_task(repository(config, {"pipeline_tag": tag}), None)


@pytest.mark.parametrize(
    ("config", "tag", "texts"),
    [
        ({"vision_config": {}}, None, {}),
        ({**named("Idefics3ForConditionalGeneration"), "vision_config": {}}, None, {}),
        ({"audio_config": {"a": 1}}, "text-generation", {}),
        ({"img_processor": {"name": "clip"}}, None, {}),
        ({"vision_tower": "a/clip"}, "text-generation", {}),
        ({}, "image-text-to-text", {}),
        ({}, None, {"preprocessor_config__json": {"image_processor_type": "X"}}),
        ({}, None, {"processor_config__json": {"processor_class": "MolmoProcessor"}}),
    ],
)
def test_a_model_that_reads_pictures(config, tag, texts):
    """Its text alone is another model; of a GGUF only the pictures are missing."""
    model = {**named("MolmoForCausalLM"), **config}
    found = repository(model, {"pipeline_tag": tag}, **texts)
    with pytest.raises(MealkitError, match="reads more than text"):
        stated_task(found, None)
    of_gguf = stated_task(found, {"general.architecture": "llama"})
    assert of_gguf.task == "generation"
    assert of_gguf.left_out[0].what == "pictures, sound"


def test_several_ggufs_of_which_none_was_read():
    """Which one is meant is asked later."""
    assert stated_task(repository(), {}).task == "generation"


def test_an_adapter_is_not_a_model():
    """Its base is named."""
    texts = {"adapter_config.json": '{"base_model_name_or_path": "someone/base"}'}
    sizes = dict.fromkeys([*texts, "adapter_model.safetensors"], 1)
    with pytest.raises(MealkitError, match="it is an adapter of someone/base") as caught:
        stated_task(Repository("a/b", "0" * 40, sizes, texts, pipeline_tag="text-generation"), None)
    assert "merge" in caught.value.problems[0].hint
    with pytest.raises(MealkitError, match="it is an adapter"):
        stated_task(repository(), {"general.type": "adapter"})


def test_modules_of_a_cross_encoder():
    """It is a reranker although it has modules, unless its score is not a classifier's."""
    kind = {"config_sentence_transformers__json": {"model_type": "CrossEncoder"}}
    modules = [{"type": "sentence_transformers.base.modules.transformer.Transformer"}]
    config = {**CLASSIFIER, **ONE}
    found = stated_task(repository(config, **kind, modules__json=modules), None)
    assert found.task == "reranking"
    modules.append({"type": "sentence_transformers.cross_encoder.modules.LogitScore"})
    with pytest.raises(MealkitError, match="its scores go through LogitScore"):
        stated_task(repository(config, **kind, modules__json=modules), None)


def test_zero_shot_classification_is_listed():
    """The kit reads the text only."""
    card = {"pipeline_tag": "zero-shot-classification"}
    found = stated_task(repository(CLASSIFIER, card), None)
    assert [item.what for item in found.left_out] == ["zero-shot classification"]


@pytest.mark.parametrize(
    ("labels", "card", "expected"),
    [
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), {}, ["pairs of texts"]),
        (("no", "yes"), {"library_name": "sentence-transformers"}, ["pairs of texts"]),
        (("no", "yes"), {}, []),
    ],
)
def test_a_classifier_of_two_texts(labels, card, expected):
    """A kit classifies one text, and the list says so."""
    config = {**CLASSIFIER, "id2label": dict(enumerate(labels))}
    found = stated_task(repository(config, {"pipeline_tag": "text-classification", **card}), None)
    assert found.task == "classification"
    assert [item.what for item in found.left_out] == expected


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"general.architecture": "flux"}, "a model of pictures or sound"),
        ({"general.architecture": "t5"}, "a model with an encoder and a decoder"),
        ({"general.type": "imatrix"}, "the statistics"),
    ],
)
def test_a_gguf_that_is_not_a_model_of_text(metadata, said):
    """By its own metadata."""
    with pytest.raises(MealkitError, match=said):
        stated_task(repository(), metadata)


def test_a_gguf_for_vectors():
    """Its pooling says so, although its architecture also generates."""
    metadata = {"general.architecture": "qwen3", "qwen3.pooling_type": 3}
    assert stated_task(repository(), metadata).task == "embeddings"
    assert stated_task(repository(), {**metadata, "qwen3.pooling_type": 0}).task == "generation"


@pytest.mark.parametrize(
    "name", ["checkpoint-1/adapter_model.safetensors", "lora.safetensors", "x/step.safetensors"]
)
def test_an_adapter_under_other_names(name):
    """Also in a folder: a whole model has a config.json."""
    texts = {"README.md": '---\n{"library_name": "peft", "base_model": "a/base"}\n---\n'}
    sizes = dict.fromkeys([*texts, name], 1)
    with pytest.raises(MealkitError, match="it is an adapter of a/base"):
        stated_task(Repository("a/b", "0" * 40, sizes, texts), None)
