"""Modelfiles are read as Ollama reads them, and every instruction is carried over or listed."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.from_modelfile import from_path, parse_modelfile, propose

METADATA = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.context_length": 512,
    "tokenizer.chat_template": "{{ messages }}",
}
GGUF = Path("/srv/tiny.gguf")


def kit_of(text, metadata=METADATA):
    return propose(parse_modelfile(text, "Modelfile"), GGUF, metadata, "Modelfile")


def left(proposal):
    return {item.what: item for item in proposal.left_out}


def test_instructions():
    """In any case, over several lines in quotes, with comments between."""
    text = """# hello
    from ./m.gguf

PARAMETER stop "a b"
system \"\"\"one
two\"\"\"
MESSAGE user \"\"\"hi
there\"\"\"
TEMPLATE \"\"\"{{ .Prompt }}\"\"\"
LICENSE "MIT"
"""
    found = [(item.name, item.value, item.line) for item in parse_modelfile(text, "Modelfile")]
    assert found == [
        ("FROM", "./m.gguf", 2),
        ("PARAMETER", 'stop "a b"', 4),
        ("SYSTEM", "one\ntwo", 5),
        ("MESSAGE", "user hi\nthere", 7),
        ("TEMPLATE", "{{ .Prompt }}", 9),
        ("LICENSE", "MIT", 10),
    ]


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("FROM a\nRUN ls", "'RUN' is not an instruction", 2),
        ("FROM a\n=", "'=' is not an instruction", 2),
        ('SYSTEM """never', "the quotes of SYSTEM are not closed", 1),
    ],
)
def test_what_is_no_modelfile(text, said, line):
    """The line that is wrong is named."""
    with pytest.raises(MealkitError, match=said) as caught:
        parse_modelfile(text, "Modelfile")
    assert caught.value.problems[0].where == f"Modelfile:{line}"


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
    assert (values["repetition_penalty"], values["seed"]) == (1.1, 0)
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
    """Template, adapter, messages and version are listed, the system prompt becomes a prompt."""
    found = kit_of(
        "FROM x.gguf\nTEMPLATE {{ .Prompt }}\nADAPTER a.gguf\nMESSAGE user hi\n"
        "MESSAGE assistant ho\nREQUIRES 0.14.0\nSYSTEM first\nSYSTEM You are {{ it }}.\n"
        "LICENSE Apache-2.0\n"
    )
    assert left(found).keys() >= {"TEMPLATE", "ADAPTER a.gguf", "MESSAGE (2)", "REQUIRES 0.14.0"}
    assert "ANOTHER MODEL" in left(found)["ADAPTER a.gguf"].why
    assert found.kit["prompts"] == {"system": {"file": "prompts/system.jinja"}}
    assert found.files["prompts/system.jinja"] == '{{ "You are {{ it }}." }}'
    assert found.kit["model"]["license"] == "Apache-2.0"


def test_licences():
    """From the text, else from the GGUF; the text is kept."""
    text = 'FROM x.gguf\nLICENSE """Apache License\nVersion 2.0, January 2004"""'
    found = kit_of(text)
    assert found.kit["model"]["license"] == "Apache-2.0"
    assert found.files["LICENSE.weights"].startswith("Apache License\nVersion")
    stated = {**METADATA, "general.license": "mit"}
    assert kit_of("FROM x.gguf", stated).kit["model"]["license"] == "MIT"


def test_a_gguf_without_a_template():
    """Texts only: Ollama's template is not taken in its place."""
    bare = {"general.architecture": "llama"}
    found = kit_of("FROM x.gguf\nTEMPLATE {{ .Prompt }}", bare)
    assert found.kit["hyperparameters"]["chat_template"] == "none"
    assert found.kit["model"]["name"] == "tiny"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("llama3.2:3b", "ollama show --modelfile llama3.2:3b"),
        ("hf.co/someone/Some-GGUF:Q4_K_M", "--from hub someone/Some-GGUF/FILE.gguf"),
    ],
)
def test_names_of_ollamas_own(value, hint):
    """A name says nothing of which bytes are meant; the hint says how to find them."""
    directives = parse_modelfile(f"FROM {value}", "Modelfile")
    with pytest.raises(MealkitError, match="is not a file") as caught:
        from_path(directives, Path("/srv"), "Modelfile")
    assert hint in caught.value.problems[0].hint


def test_paths():
    """Relative to the Modelfile; Ollama's blobs have no ending."""
    for value, path in (
        ("m.gguf", "/srv/m.gguf"),
        ("../m.gguf", "/srv/../m.gguf"),
        ("/var/blobs/sha256-abc", "/var/blobs/sha256-abc"),
    ):
        directives = parse_modelfile(f"FROM {value}", "Modelfile")
        assert from_path(directives, Path("/srv"), "Modelfile") == Path(path)
    with pytest.raises(MealkitError, match="has no FROM"):
        from_path(parse_modelfile("SYSTEM x", "Modelfile"), Path("/srv"), "Modelfile")
