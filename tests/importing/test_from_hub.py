"""What repositories say of themselves becomes a kit, with where each value comes from."""

import json

import jinja2
import pytest

from mealkit.errors import MealkitError
from mealkit.importing.from_hub import propose
from mealkit.importing.quoting import verbatim
from mealkit.importing.repository import Repository, spdx

GIB = 1024**3
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: apache-2.0\npipeline_tag: text-generation\n---\n# A model\n"
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
CHATTING = {"chat_template": "{% for tool in tools %}<tool_call>{% endfor %}"}


def repository(files, texts=None, **more):
    """A repository of files with sizes, or with what they say."""
    sizes, said = {}, {}
    for name, content in {**files, **(texts or {})}.items():
        if isinstance(content, int):
            sizes[name] = content
        else:
            said[name] = content if isinstance(content, str) else json.dumps(content)
            sizes[name] = len(said[name])
    return Repository("someone/Some-7B", COMMIT, sizes, said, **more)


def generator(size_bytes=15 * GIB, generation=None, tokenizer=None, config=None, **files):
    return repository(
        {
            "README.md": CARD,
            "config.json": LLAMA if config is None else config,
            "tokenizer.json": 9,
            "tokenizer_config.json": CHATTING if tokenizer is None else tokenizer,
            "generation_config.json": {} if generation is None else generation,
            "model.safetensors": size_bytes,
            **files,
        }
    )


def left(proposal):
    return {item.what for item in proposal.left_out}


def test_a_large_generator_goes_to_vllm():
    """Commit, files, context, template, type and licence are the repository's own."""
    found = propose(generator(), None, None)
    assert found.engine == "vllm"
    weights = found.kit["model"]["weights"][0]
    assert (weights["repo"], weights["revision"]) == ("someone/Some-7B", COMMIT)
    assert weights["files"] == [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    values = found.kit["hyperparameters"]
    assert values["max_length"] == 8192
    assert (values["chat_template"], values["tool_calls"]) == ("model", "hermes")
    assert found.kit["runtime"]["settings"]["dtype"] == "bfloat16"
    assert found.kit["hardware"]["gpu"] == "required"
    assert found.kit["model"]["license"] == "Apache-2.0"
    assert "max_position_embeddings" in found.comments["hyperparameters", "max_length"]


def test_a_small_generator_goes_to_transformers():
    """What a CPU computes in reasonable time does not ask for a GPU."""
    found = propose(generator(GIB), None, None)
    assert (found.engine, found.kit["hardware"]["gpu"]) == ("transformers", "none")
    assert propose(generator(GIB), None, "vllm").engine == "vllm"


def test_quantised_weights_that_an_engine_does_not_read_are_listed():
    """vLLM reads them by itself."""
    config = {**LLAMA, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    assert "the reader of gptq weights" in left(propose(generator(GIB, config=config), None, None))
    found = propose(generator(GIB, config=config), None, "vllm")
    assert "the reader of gptq weights" not in left(found)


@pytest.mark.parametrize(
    ("config", "program"),
    [
        ({"quantization": {"bits": 4}}, "MLX"),
        ({"quantization": {"bits": 4}, "quantization_config": {"bits": 4}}, "MLX"),
        ({"quantization_config": {"quant_method": "exl2"}}, "ExLlamaV2"),
    ],
)
def test_weights_that_only_another_program_reads(config, program):
    """With either engine."""
    for engine in ("transformers", "vllm"):
        with pytest.raises(MealkitError, match=f"quantised for {program}"):
            propose(generator(GIB, config={**LLAMA, **config}), None, engine)


def test_weights_that_an_older_tool_quantised():
    """Their description is listed: no engine here reads that file."""
    made = propose(generator(GIB, **{"quantize_config.json": {"bits": 4}}), None, None)
    (item,) = [item for item in made.left_out if item.what == "quantize_config.json"]
    assert "how the weights are quantised" in item.why


@pytest.mark.parametrize(
    ("stated", "expected", "said"),
    [(["mit"], "MIT", None), (["mit", "apache-2.0"], "LicenseRef-unknown", "several: mit, apache")],
)
def test_licences_in_a_list(stated, expected, said):
    """One is taken; of several, how they go together is the publisher's to say."""
    card = f"---\n{json.dumps({'license': stated})}\n---\n"
    made = propose(generator(GIB, **{"README.md": card}), None, None)
    assert made.kit["model"]["license"] == expected
    whys = [item.why for item in made.left_out if item.what == "the licence of the weights"]
    assert [said in why for why in whys] == ([True] if said else [])


def test_sampling_defaults_become_hyperparameters():
    """What transformers would draw with is written out; what has no place is listed."""
    generation = {
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "eos_token_id": [1, 2],
        "no_repeat_ngram_size": 3,
        "max_new_tokens": 2048,
    }
    found = propose(generator(generation=generation), None, None)
    values = found.kit["hyperparameters"]
    assert values["temperature"] == 0.7
    assert values["top_p"] == 0.8
    assert values["top_k"] == 20
    assert values["repetition_penalty"] == 1.05
    assert values["max_tokens"] == 2048
    assert found.comments["hyperparameters", "top_k"] == "From generation_config.json."
    assert left(found) == {"generation_config.json: no_repeat_ngram_size"}


BUILT_IN = (
    "{% if messages[0].role != 'system' %}<|system|>You are {{ 'Some' }}.<|end|>{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
)


@pytest.mark.parametrize(
    ("repository", "source"),
    [
        (generator(tokenizer={"chat_template": BUILT_IN}), "tokenizer_config.json"),
        (
            generator(tokenizer={"chat_template": [{"name": "default", "template": BUILT_IN}]}),
            "tokenizer_config.json",
        ),
        (generator(**{"chat_template.jinja": BUILT_IN}), "chat_template.jinja"),
        (
            repository(
                {"README.md": CARD, "a.gguf": GIB},
                headers={
                    "a.gguf": {
                        "general.architecture": "llama",
                        "llama.context_length": 4096,
                        "tokenizer.chat_template": BUILT_IN,
                    }
                },
            ),
            "GGUF",
        ),
    ],
)
def test_a_system_text_that_the_template_has_built_in(repository, source):
    """It is the kit's own, so that it can be read, compared and changed."""
    found = propose(repository, None, None)
    assert found.files["prompts/system.jinja"] == "You are Some.\n"
    assert found.kit["prompts"] == {"system": {"file": "prompts/system.jinja"}}
    assert found.kit["system_prompt"] == {"prompt": "system", "placement": "default"}
    assert source in found.comments[("system_prompt",)]


def test_a_template_without_a_text_of_its_own():
    """The kit pins no system prompt."""
    assert "system_prompt" not in propose(generator(), None, None).kit


def test_a_model_that_does_not_draw():
    """Without do_sample the likeliest token is taken, whatever temperature stands there."""
    found = propose(generator(generation={"temperature": 0.6, "top_p": 0.9}), None, None)
    values = found.kit["hyperparameters"]
    assert values["temperature"] == 0.0
    assert "top_p" not in values


@pytest.mark.parametrize(
    ("generation", "name"),
    [
        ({"do_sample": True, "temperature": 7}, "temperature"),
        ({"do_sample": True, "top_p": 0}, "top_p"),
        ({"repetition_penalty": "high"}, "repetition_penalty"),
    ],
)
def test_defaults_out_of_bounds_are_listed(generation, name):
    """A value that no engine takes is not put into the kit."""
    found = propose(generator(generation=generation), None, None)
    assert f"generation_config.json: {name}" in left(found)


def test_what_the_repository_does_not_say():
    """Guesses are marked as such, and listed."""
    bare = repository({"config.json": {"architectures": ["XForCausalLM"]}, "model.safetensors": 9})
    found = propose(bare, None, None)
    assert found.kit["hyperparameters"]["chat_template"] == "none"
    assert found.kit["model"]["license"] == "LicenseRef-unknown"
    assert left(found) >= {"the context", "the licence of the weights"}


def test_weights_are_taken_once():
    """Shards by their index; pickles, code and second copies stay behind, with why."""
    index = {
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
    }
    there = repository(
        {
            "README.md": CARD,
            "config.json": {**LLAMA, "auto_map": {"AutoModel": "modeling.X"}},
            "model.safetensors.index.json": index,
            "model-00001-of-00002.safetensors": 4 * GIB,
            "model-00002-of-00002.safetensors": 4 * GIB,
            "consolidated.safetensors": 8 * GIB,
            "pytorch_model.bin": 8 * GIB,
            "modeling.py": 9,
            "tokenizer.model": 9,
        }
    )
    found = propose(there, None, None)
    files = found.kit["model"]["weights"][0]["files"]
    assert files[:2] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert "model.safetensors.index.json" in files
    assert not {"consolidated.safetensors", "pytorch_model.bin", "modeling.py"} & set(files)
    assert left(found) >= {
        "pytorch_model.bin",
        "modeling.py",
        "consolidated.safetensors",
        "custom code",
        "tokenizer.model",
    }


def test_only_pickles():
    """A kit cannot be made of weights that run code when they are loaded."""
    there = repository({"README.md": CARD, "config.json": LLAMA, "pytorch_model.bin": 9})
    with pytest.raises(MealkitError) as caught:
        propose(there, None, None)
    assert caught.value.problems[0].code == "WEIGHTS_PICKLE"


def test_gguf():
    """One GGUF is taken as it is; of several, one must be named; parts belong together."""
    metadata = {
        "general.architecture": "llama",
        "llama.context_length": 4096,
        "tokenizer.chat_template": "{{ messages }}",
    }
    one = repository({"README.md": CARD, "a.gguf": GIB}, headers={"a.gguf": metadata})
    found = propose(one, None, None)
    assert found.engine == "llama-cpp"
    assert found.kit["runtime"]["settings"]["model"] == "a.gguf"
    assert found.kit["hyperparameters"]["max_length"] == 4096
    assert found.kit["hyperparameters"]["chat_template"] == "model"

    several = repository({"README.md": CARD, "a.gguf": GIB, "b.gguf": 2 * GIB})
    with pytest.raises(MealkitError) as caught:
        propose(several, None, None)
    assert caught.value.problems[0].code == "USAGE"
    assert "a.gguf (1.0 GiB), b.gguf (2.0 GiB)" in caught.value.problems[0].hint
    assert propose(several, "b.gguf", None).kit["model"]["weights"][0]["files"] == ["b.gguf"]

    parts = [f"m-{number:05}-of-00002.gguf" for number in (1, 2)]
    split = repository({"README.md": CARD, **dict.fromkeys(parts, GIB)})
    found = propose(split, None, None)
    assert found.kit["model"]["weights"][0]["files"] == parts
    assert found.kit["runtime"]["settings"]["model"] == parts[0]


def test_sampling_parameters_in_a_gguf_are_listed():
    """llama.cpp's server would use them."""
    metadata = {"general.architecture": "llama", "general.sampling.temp": 0.6}
    made = propose(repository({"a.gguf": GIB}, headers={"a.gguf": metadata}), None, None)
    (item,) = [item for item in made.left_out if item.what == "general.sampling.temp"]
    assert "0.6" in item.why


MODULES = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
MEAN = {
    "word_embedding_dimension": 384,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_cls_token": False,
}


def encoder(modules=MODULES, pooling=MEAN, **files):
    return repository(
        {
            "README.md": "---\nlicense: mit\n---\n",
            "config.json": {"architectures": ["BertModel"], "max_position_embeddings": 512},
            "tokenizer.json": 9,
            "model.safetensors": 90_000_000,
            "modules.json": modules,
            "1_Pooling/config.json": pooling,
            "sentence_bert_config.json": {"max_seq_length": 256},
            **files,
        }
    )


def test_sentence_transformers():
    """Pooling, length and normalisation are those of the modules, prompts those of the config."""
    prompts = {"prompts": {"query": "query: ", "document": "", "Web Search": "x"}}
    found = propose(encoder(**{"config_sentence_transformers.json": prompts}), None, None)
    assert (found.engine, found.kit["model"]["task"]) == ("transformers", "embeddings")
    assert found.kit["hyperparameters"] == {
        "pooling": "mean",
        "max_length": 256,
        "normalize": True,
    }
    assert found.kit["prompts"] == {"query": {"file": "prompts/query.jinja", "variables": ["text"]}}
    assert found.files["prompts/query.jinja"] == "query: {{ text }}"
    assert left(found) == {"prompt 'Web Search'", "a build of torch for CPUs"}
    without = propose(encoder(modules=MODULES[:2]), None, None)
    assert without.kit["hyperparameters"]["normalize"] is False


@pytest.mark.parametrize(
    ("modules", "pooling", "said"),
    [
        (MODULES, {"pooling_mode_lasttoken": True}, "pooling_mode_lasttoken"),
        (MODULES, {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls"),
        ([*MODULES, {"type": "sentence_transformers.models.Dense"}], MEAN, "Dense"),
    ],
)
def test_vectors_that_no_engine_computes(modules, pooling, said):
    """Another way to pool is another model: no kit is better than a wrong one."""
    with pytest.raises(MealkitError, match=said) as caught:
        propose(encoder(modules, pooling), None, None)
    assert caught.value.problems[0].code == "KIT_INVALID"


def test_classifiers_and_rerankers():
    """By their labels: one is a score, several are classes."""
    many = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "bad", "1": "good"},
        "max_position_embeddings": 512,
    }
    one = {**many, "id2label": {"0": "LABEL_0"}}
    several = {**many, "problem_type": "multi_label_classification"}
    for config, task, function in (
        (many, "classification", "softmax"),
        (one, "reranking", "sigmoid"),
        (several, "classification", "sigmoid"),
    ):
        found = propose(repository({"config.json": config, "model.safetensors": 9}), None, None)
        assert found.kit["model"]["task"] == task
        assert found.kit["hyperparameters"]["function"] == function


@pytest.mark.parametrize(
    ("engine", "said"),
    [("python", "python does not support generation"), ("soup", "soup does not support")],
)
def test_an_engine_that_cannot(engine, said):
    """An engine that was asked for must do the task."""
    with pytest.raises(MealkitError, match=said):
        propose(generator(), None, engine)


def test_a_graph_that_writes_text():
    """The graph that its description names, with its data, the description and the tokenizer."""
    decoder = {"decoder": {"filename": "model.onnx"}}
    files = {
        "genai_config.json": {"model": decoder},
        "model.onnx": 9,
        "model.onnx.data": GIB,
        "other.onnx": 9,
    }
    published = dict(generator(**files).sizes_bytes)
    del published["model.safetensors"]
    texts = generator(**files).texts
    found = propose(repository(published, texts), None, None)
    assert (found.engine, found.kit["runtime"]["settings"]) == ("onnx", {"graph": "model.onnx"})
    assert found.kit["model"]["weights"][0]["files"] == [
        "model.onnx",
        "model.onnx.data",
        "genai_config.json",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert found.kit["hyperparameters"]["chat_template"] == "model"


def test_a_graph_that_nothing_describes():
    """Without a description where the model is, onnx cannot write text."""
    with pytest.raises(MealkitError, match=r"it has no genai_config\.json"):
        propose(generator(**{"model.onnx": 9}), None, "onnx")


def test_a_repository_of_unknown_purpose():
    """Nothing is made of what nobody says the use of."""
    with pytest.raises(MealkitError, match="states its task"):
        propose(repository({"model.safetensors": 9}), None, None)


@pytest.mark.parametrize("card", ["", "---\n", "---\n- a\n---\n", "---\na: [\n---\n", "no fence"])
def test_cards_that_say_nothing(card):
    """A card that cannot be read is one that says nothing."""
    assert repository({"README.md": card}).card == {}


def test_licences():
    """The Hub's names become SPDX's; others are references."""
    assert spdx("apache-2.0") == "Apache-2.0"
    assert spdx("llama3.1") == "LicenseRef-llama3.1"
    assert spdx("other", "Qwen Research") == "LicenseRef-Qwen-Research"
    assert spdx(None) is None
    assert spdx("unknown") is None


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ no }}",
        '{% endraw %} \U0001f600 "quoted" \\n',
        "{# x",
        "ends with {",
        "{",
        "a\r\nb\rc",
        "tab\tand\nline\n",
        "bell \x07 and delete \x7f \x00",
        "{{ '}}' }} \\u007b\\u007b {%- x -%}",
        "# for x in y",
        "\ufeffmark",
    ],
)
def test_texts_are_said_as_they_are(text):
    """Signs of Jinja within a text are text, alone and before the template that follows it."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  prompts are text
        keep_trailing_newline=True,
    )
    assert environment.from_string(verbatim(text)).render() == text
    followed = environment.from_string(verbatim(text) + "{{ text }}")
    assert followed.render(text="{{ 1 }}") == text + "{{ 1 }}"
    assert "\0" not in verbatim(text)


def test_the_length_of_an_answer_leaves_room_for_a_prompt():
    """What the repository says, if a prompt fits beside it; else at most half of the context."""

    def most(context, generation=None):
        config = {**LLAMA, "max_position_embeddings": context}
        found = propose(generator(config=config, generation=generation), None, None)
        return found.kit["hyperparameters"]["max_tokens"]

    assert most(4096, {"max_new_tokens": 4000}) == 4000
    assert most(4096, {"max_new_tokens": 4096}) == 2048
    assert most(512) == 256
    assert most(32768) == 512
