"""How texts become vectors or scores is read from a model's configs, or refused."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.repository import Repository
from mealkit.importing.stated_pooling import embedding, gguf_embedding, length, prompts, scoring
from mealkit.importing.stated_sampling import Values

TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}
POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
NORMALIZE = {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}


def repository(**texts):
    named = {name.replace("__", "/") + ".json": json.dumps(form) for name, form in texts.items()}
    return Repository("someone/model", "0" * 40, dict.fromkeys(named, 1), named)


def steps(*modules, **pooling):
    return repository(**{"modules": list(modules), "1_Pooling__config": pooling})


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls", "pooling_mode_max_tokens": True}, "cls"),
    ],
)
def test_the_pooling_is_the_models_own(pooling, expected):
    """In the older form and in the newer one."""
    found = embedding(steps(TRANSFORMER, POOLING, **pooling))
    assert found.values["pooling"] == expected
    assert "1_Pooling/config.json" in found.comments["pooling"]


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode_mean_tokens": False},
        {"pooling_mode": "lasttoken"},
    ],
)
def test_a_pooling_that_no_engine_has_is_refused(pooling):
    """Another one would give other vectors."""
    with pytest.raises(MealkitError, match=r"KIT_INVALID.*its pooling is"):
        embedding(steps(TRANSFORMER, POOLING, **pooling))


def test_a_step_that_no_engine_has_is_refused_by_name():
    """Such as a dense layer behind the pooling."""
    dense = {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}
    with pytest.raises(MealkitError, match=r"KIT_INVALID.*Dense"):
        embedding(steps(TRANSFORMER, POOLING, dense, pooling_mode="mean"))


def test_a_module_of_another_package_is_refused():
    """It may do more than the one of sentence-transformers with the same name."""
    own = {"type": "custom_st.Transformer", "path": ""}
    with pytest.raises(MealkitError, match=r"custom_st\.Transformer"):
        embedding(steps(own, POOLING, pooling_mode_mean_tokens=True))
    newer = {"type": "sentence_transformers.base.modules.transformer.Transformer", "path": ""}
    embedding(steps(newer, POOLING, pooling_mode_mean_tokens=True))


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ({"sentence_bert_config": {"do_lower_case": True}}, "lower case"),
        (
            {"config_sentence_transformers": {"default_prompt_name": "query"}},
            "default prompt 'query'",
        ),
        (
            {"1_Pooling__config": {"pooling_mode_cls_token": True, "include_prompt": False}},
            "pooling without the prompt",
        ),
    ],
)
def test_what_a_kit_does_not_do_to_a_text_is_listed(texts, what):
    """Vectors differ from those of sentence-transformers."""
    form = {"modules": [TRANSFORMER, POOLING], "1_Pooling__config": {"pooling_mode": "cls"}}
    found = embedding(repository(**{**form, **texts}))
    assert what in [item.what for item in found.left_out]
    assert what not in [item.what for item in embedding(repository(**form)).left_out]


@pytest.mark.parametrize(("modules", "expected"), [((NORMALIZE,), True), ((), False)])
def test_vectors_are_normalised_if_a_step_says_so(modules, expected):
    """Both are known once the steps are."""
    found = embedding(steps(TRANSFORMER, POOLING, *modules, pooling_mode="mean"))
    assert found.values["normalize"] is expected


def test_what_no_file_states_is_a_guess_and_told():
    """Each with where to look it up."""
    found = embedding(repository())
    assert found.values == {"pooling": "mean", "max_length": 512, "normalize": True}
    assert {item.what for item in found.left_out} == {
        *("pooling", "the longest input", "normalisation")
    }


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"sentence_bert_config": {"max_seq_length": 128}, "config": {"n_positions": 512}}, 128),
        ({"tokenizer_config": {"model_max_length": 10**30}, "config": {"n_positions": 512}}, 512),
        ({"sentence_bert_config": {"max_seq_length": True}}, 512),
        ({"config": {"max_position_embeddings": 0, "n_positions": 64}}, 64),
        ({"sentence_bert_config": {"max_seq_length": "9"}, "config": {"n_positions": 77}}, 77),
    ],
)
def test_the_longest_input_is_the_first_number_that_can_be_one(texts, expected):
    """sentence-transformers' own counts first."""
    found = Values()
    length(found, repository(**texts))
    assert found.values["max_length"] == expected


@pytest.mark.parametrize(
    ("kind", "context", "expected"),
    [(1, 8192, ("mean", 8192)), (2, 10**30, ("cls", 512)), (None, None, ("mean", 512))],
)
def test_a_gguf_says_its_pooling_by_number(kind, context, expected):
    """And its context, if it is one."""
    stated = {"bert.pooling_type": kind, "bert.context_length": context}
    found = gguf_embedding(stated, "bert", "x").values
    assert (found["pooling"], found["max_length"]) == expected


@pytest.mark.parametrize("kind", [0, 3, 4, True, 1.0, "1", []])
def test_another_number_is_refused(kind):
    """True is not 1 here."""
    with pytest.raises(MealkitError, match="KIT_INVALID"):
        gguf_embedding({"bert.pooling_type": kind}, "bert", "x")


@pytest.mark.parametrize(
    ("problem", "labels", "expected"),
    [
        ("multi_label_classification", 3, "sigmoid"),
        ("single_label_classification", 3, "softmax"),
        (None, 3, "softmax"),
        (None, 1, "sigmoid"),
    ],
)
def test_scores_are_made_by_what_the_labels_are(problem, labels, expected):
    """Several at once, one of several, or one alone."""
    config = {"problem_type": problem} if problem else {}
    assert scoring(repository(config=config), labels=labels).values["function"] == expected


def test_prompts_with_names_that_a_kit_can_have_are_taken():
    """Others are told; texts that are empty or none are nothing."""
    stated = {"query": "q: ", "Bad Name": "x", "nul": "a\0", "empty": "", "number": 1}
    found = Values()
    taken = prompts(found, repository(config_sentence_transformers={"prompts": stated}))
    assert taken == {"query": "q: "}
    assert {item.what for item in found.left_out} == {"prompt 'Bad Name'", "prompt 'nul'"}
    assert prompts(found, repository(config_sentence_transformers={"prompts": []})) == {}


@pytest.mark.parametrize(
    ("texts", "function"),
    [
        ({"config": {}}, "sigmoid"),
        (
            {
                "config": {
                    "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"
                }
            },
            "none",
        ),
        ({"config": {"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}}, "none"),
        (
            {"config": {"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}},
            "sigmoid",
        ),
        ({"config_sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, "none"),
    ],
)
def test_a_reranker_has_the_function_of_its_config(texts, function):
    """In each place where sentence-transformers has written it."""
    found = scoring(repository(**texts), labels=1)
    assert found.values["function"] == function
    assert (": " in found.comments["function"]) is True


@pytest.mark.parametrize(
    ("config", "labels", "said"),
    [
        ({"sbert_ce_default_activation_function": "torch.nn.Tanh"}, 1, "Tanh"),
        ({"problem_type": "regression"}, 2, "not probabilities"),
    ],
)
def test_scores_that_no_engine_computes(config, labels, said):
    """They would be other numbers."""
    with pytest.raises(MealkitError, match=said):
        scoring(repository(config=config), labels=labels)


def test_no_input_is_longer_than_the_positions():
    """Whatever sentence-transformers' config states."""
    found = Values()
    config = {"model_type": "xlm-roberta", "max_position_embeddings": 514}
    length(found, repository(sentence_bert_config={"max_seq_length": 514}, config=config))
    assert found.values["max_length"] == 512
    assert "max_seq_length of sentence_bert_config.json is 514" in found.comments["max_length"]
