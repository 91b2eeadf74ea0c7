"""Modelfiles are read as Ollama reads them, and every instruction is carried over or listed."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.from_modelfile import propose
from mealkit.importing.modelfile import parse_modelfile
from mealkit.importing.modelfile_weights import GgufModel

METADATA = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.context_length": 512,
    "tokenizer.chat_template": "{{ messages }}",
}


def kit_of(text, metadata=METADATA):
    model = GgufModel(Path("/srv"), ["tiny.gguf"], metadata)
    return propose(parse_modelfile(text, "Modelfile"), model, "Modelfile")


def left(proposal):
    return {item.what: item for item in proposal.left_out}


def test_parameters_become_hyperparameters():
    """By the kit's names; what Ollama would do of itself is written out."""
    found = kit_of(
        "FROM x.gguf\n"
        "PARAMETER num_ctx 256\nPARAMETER num_predict 64\nPARAMETER temperature 0.5\n"
        "PARAMETER top_k 3\nPARAMETER top_p 0.7\nPARAMETER min_p 0.1\n"
        "PARAMETER repeat_penalty 1.2\nPARAMETER seed 9\n"
        'PARAMETER stop one\nPARAMETER stop "two words"\nPARAMETER num_thread 4\n'
    )
    assert found.kit["hyperparameters"] == {
        "max_length": 256,
        "max_tokens": 64,
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.7,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "seed": 9,
        "stop": ["one", "two words"],
        "chat_template": "model",
    }
    assert found.kit["runtime"]["settings"] == {"model": "tiny.gguf", "threads": 4}
    assert left(found).keys() == {"a wheel of llama-cpp-python", "the licence of the weights"}


def test_what_a_modelfile_leaves_to_ollama():
    """Its defaults are written out, its context is not left to the GPU of the day."""
    found = kit_of("FROM x.gguf\nPARAMETER num_predict -1")
    values = found.kit["hyperparameters"]
    assert (values["temperature"], values["top_k"], values["top_p"]) == (0.8, 40, 0.9)
    assert (values["repetition_penalty"], values["seed"]) == (1.0, 0)
    assert (values["max_length"], values["max_tokens"]) == (512, 256)
    assert found.comments["hyperparameters", "temperature"] == "Not stated: Ollama's own default."
    assert "num_ctx" in left(found)


@pytest.mark.parametrize(
    "parameter",
    [
        "mirostat 1",
        "repeat_last_n 64",
        "tfs_z 1",
        "num_gpu 99",
        "num_keep 4",
        "made_up 1",
        "temperature hot",
        "temperature 7",
        "top_p 0",
        "seed -1",
        "num_predict soon",
    ],
)
def test_parameters_without_a_place(parameter):
    """Each is listed by its name."""
    found = kit_of(f"FROM x.gguf\nPARAMETER {parameter}")
    name = parameter.split()[0]
    assert any(what.startswith(f"PARAMETER {name}") for what in left(found))


def test_instructions_without_a_place():
    """Template, adapter, messages and version are listed."""
    found = kit_of(
        "FROM x.gguf\nTEMPLATE {{ .Prompt }}\nADAPTER a.gguf\nMESSAGE user hi\n"
        "MESSAGE assistant ho\nREQUIRES 0.14.0\nSYSTEM first\nSYSTEM You are {{ it }}.\n"
        "LICENSE Apache-2.0\n"
    )
    assert left(found).keys() >= {"TEMPLATE", "ADAPTER a.gguf", "MESSAGE (2)", "REQUIRES 0.14.0"}
    assert "ANOTHER MODEL" in left(found)["ADAPTER a.gguf"].why
    assert found.kit["prompts"] == {"system": {"file": "prompts/system.jinja"}}
    assert found.files["prompts/system.jinja"] == '{{ "You are {{ it }}." }}\n'
    assert found.kit["model"]["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("Apache License\nVersion 2.0, January 2004", "Apache-2.0"),
        ("\n      The MIT License (MIT)\n\nCopyright", "MIT"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991", "GPL-2.0-only"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "GPL-3.0-only"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007", "AGPL-3.0-only"),
        ("LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\nLlama 3.2 Version", None),
        ('MIT"""\nLICENSE """Use Policy\nof the model', None),
        ('MIT"""\nLICENSE """MIT License\nCopyright', "MIT"),
    ],
)
def test_licences(text, identifier):
    """From all texts of LICENSE, which are kept; an unknown one is listed as what it is."""
    found = kit_of(f'FROM x.gguf\nLICENSE """{text}"""')
    assert found.kit["model"]["license"] == (identifier or "LicenseRef-unknown")
    assert found.files["LICENSE.weights"].split() == text.replace('"""\nLICENSE """', " ").split()
    if identifier is None:
        assert "the text of LICENSE" in left(found)["the licence of the weights"].why


def test_a_licence_that_only_the_gguf_states():
    """Its identifier is that of the metadata."""
    stated = {**METADATA, "general.license": "mit"}
    assert kit_of("FROM x.gguf", stated).kit["model"]["license"] == "MIT"


def test_a_context_beyond_the_models_own():
    """It is lowered to the GGUF's, as Ollama does: the engine would refuse to start."""
    found = kit_of("FROM x.gguf\nPARAMETER num_ctx 131072")
    assert found.kit["hyperparameters"]["max_length"] == 512
    assert found.kit["hyperparameters"]["max_tokens"] < 512
    assert "131072" in found.comments["hyperparameters", "max_length"]


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_a_decoder_that_was_trained_for_vectors(kind):
    """It is no generator, although its architecture is one's."""
    with pytest.raises(MealkitError, match=r"\(llama\) generates no text"):
        kit_of("FROM x.gguf", {**METADATA, "llama.pooling_type": kind})


def test_a_gguf_without_a_template():
    """Texts only: Ollama's template is not taken in its place."""
    bare = {"general.architecture": "llama"}
    found = kit_of("FROM x.gguf\nTEMPLATE {{ .Prompt }}", bare)
    assert found.kit["hyperparameters"]["chat_template"] == "none"
    assert found.kit["model"]["name"] == "tiny"


def test_a_template_that_only_ollama_has():
    """The list states that the kit cannot chat, and how to write the template."""
    bare = {"general.architecture": "llama"}
    item = left(kit_of("FROM x.gguf\nTEMPLATE {{ .Prompt }}", bare))["TEMPLATE"]
    assert "this kit cannot chat" in item.why
    assert "hyperparameters.chat_template" in item.instead
    assert "cannot chat" not in left(kit_of("FROM x.gguf\nTEMPLATE {{ .Prompt }}"))["TEMPLATE"].why


def test_a_system_prompt_is_pinned():
    """As in Ollama: the last SYSTEM, where a caller sends no system message."""
    found = kit_of("FROM x.gguf\nSYSTEM Be long.\nSYSTEM Be brief.")
    assert found.files["prompts/system.jinja"] == "Be brief.\n"
    assert found.kit["system_prompt"] == {"prompt": "system", "placement": "default"}
    assert "From SYSTEM" in found.comments[("system_prompt",)]
    assert "SYSTEM" not in left(found)


def test_a_system_prompt_that_is_empty():
    """It takes back an earlier one."""
    found = kit_of('FROM x.gguf\nSYSTEM Be long.\nSYSTEM ""')
    assert "system_prompt" not in found.kit
    assert found.kit["prompts"] == {}


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "cannot chat"),
        ("{{ messages[0].content }}{{ raise_exception('no') if messages[1] }}", "system messages"),
    ],
)
def test_a_system_prompt_that_the_model_cannot_read(template, why):
    """It is a prompt of the kit, and the list says why it is not pinned."""
    metadata = {"general.architecture": "llama"}
    found = kit_of("FROM x.gguf\nSYSTEM Hi.", {**metadata, "tokenizer.chat_template": template})
    assert found.files["prompts/system.jinja"] == "Hi.\n"
    assert "system_prompt" not in found.kit
    assert why in left(found)["SYSTEM"].why


def test_stop_texts_keep_their_spaces_and_line_breaks():
    """Quotes keep what is within them."""
    found = kit_of('FROM x.gguf\nPARAMETER stop "\n\n"\nPARAMETER stop """\nUser: """\n')
    assert found.kit["hyperparameters"]["stop"] == ["\n\n", "\nUser: "]


def test_ollamas_own_code_is_listed():
    """A renderer, a parser and a draft model have no place in a kit."""
    found = kit_of("FROM x.gguf\nRENDERER qwen3\nPARSER qwen3\nDRAFT ./d.gguf")
    assert left(found).keys() >= {"RENDERER qwen3", "PARSER qwen3", "DRAFT ./d.gguf"}


def test_a_model_that_generates_no_text():
    """Its parameters would be those of a generator."""
    with pytest.raises(MealkitError, match=r"\(nomic-bert\) generates no text"):
        kit_of("FROM x.gguf", {"general.architecture": "nomic-bert"})
