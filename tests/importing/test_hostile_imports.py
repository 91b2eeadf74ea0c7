"""What importers read was written by others: it ends as data of a kit, or as a problem with a code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
from fakes.any_json import any_json, places, replaced
from fakes.cog_projects import GREETING
from fakes.peak import PEAK_KIB
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.importing.cog_files import CogProject
from mealkit.importing.from_cog import cog_proposal
from mealkit.importing.from_hub import propose as hub_proposal
from mealkit.importing.from_modelfile import propose as modelfile_proposal
from mealkit.importing.modelfile import parse_modelfile
from mealkit.importing.modelfile_weights import GgufModel
from mealkit.importing.proposal import LeftOut, Proposal, proposal_files
from mealkit.importing.quoting import python_text, python_texts, verbatim, yaml_value
from mealkit.importing.repository import Repository, spdx
from mealkit.kit.document import read_document
from mealkit.names import hidden_character

GIB = 1024**3
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HOSTILE = [
    *(
        "a\nb: c",
        "a\r\nruntime: {}",
        "'\n- x",
        '"\n# x',
        "a: b # c",
        "- a",
        "{a: b}",
        "&a *a",
        "!!x",
    ),
    *("\x1b[2J", "\u2028x", "\u202ex", "\x85x", "\0", "null", "~", "yes", "1.0", "2024-01-01", ""),
    *(
        "\\",
        "\\n",
        '"""',
        "'''",
        "{{ x }}",
        "{% raw %}",
        "🍲",
        "\U000e0041",
        "# escape=`",
        " a ",
        "%a",
    ),
]
ODD = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def bomb(levels=30):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def plain(value):
    """A value as JSON has it: tuples are lists."""
    return json.loads(json.dumps(value))


def assert_written(proposal):
    """The kit.yaml that a proposal becomes says exactly what the proposal says."""
    files = proposal_files(proposal, "little")
    document, problems = read_document(files["kit.yaml"], "kit.yaml")
    assert problems == []
    for name, value in proposal.kit.items():
        assert document.data[name] == plain(value)
    readme = files["README.md"]
    assert hidden_character(readme, "\n") is None
    # One line for each row, whatever the rows say.
    rows = [line for line in readme.split("\n") if line.startswith("|")]
    assert len(rows) == (len(proposal.left_out) + 2 if proposal.left_out else 0)
    return files


@QUICK
@given(
    value=st.recursive(
        ODD | st.booleans() | st.none() | st.integers(-(10**18), 10**18),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(ODD, inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_value_is_written_as_itself_in_yaml(value):
    """Line breaks, quotes, signs of YAML: read again, the value is the same, and nothing beside it."""
    text = yaml_value(value)
    assert "\n" not in text
    document, problems = read_document(f"a: {text}\nb: 1\n", "x")
    assert problems == []
    assert document.data == {"a": value, "b": 1}


@QUICK
@given(text=ODD, name=ODD)
def test_any_text_is_written_as_itself_in_python(text, name):
    """No text ends its literal, on one line that can be read."""
    assert ast.literal_eval(python_text(text)) == text
    assert ast.literal_eval(python_texts({name: text})) == {name: text}
    assert python_text(text).isprintable()


@QUICK
@given(text=ODD, comment=ODD, what=ODD)
def test_comments_and_tables_stay_what_they_are(text, comment, what):
    """Where a kit was read from, why a value is so, and what was left out add no field to a kit."""
    proposal = Proposal(
        origin=f"x {text}",
        engine="python",
        kit={"license": text, "model": {"name": text}},
        comments={("license",): comment, ("model", "name"): comment},
        left_out=[LeftOut(what, comment, text)],
    )
    files = assert_written(proposal)
    assert set(read_document(files["kit.yaml"], "x")[0].data) == {
        *("apiVersion", "name", "version", "license", "owner", "model")
    }


@pytest.mark.parametrize("mark", ["![x](http://x.invalid/)", "<img src=x>", "[x](http://x)", "`|`"])
def test_a_table_has_no_links_and_pictures_of_others(mark):
    """A README that is looked at in a browser loads nothing that a repository's owner wrote."""
    proposal = Proposal("x", "onnx", {}, left_out=[LeftOut(mark, mark, mark)])
    readme = proposal_files(proposal, "little")["README.md"]
    cells = readme.splitlines()[-1].split(" | ")
    assert mark not in cells[1]
    assert mark not in cells[2]


@QUICK
@given(text=ODD)
def test_a_text_is_a_template_that_says_it(text):
    """Also before a variable: a brace at its end begins nothing."""
    environment = jinja2.Environment(keep_trailing_newline=True)  # noqa: S701
    written = verbatim(text + "{") + "{{ text }}"
    assert (
        environment.from_string(written).render(text="!")
        == text.replace("\r\n", "\n").replace("\r", "\n") + "{!"
        or "\r" in text
    )


@pytest.mark.parametrize("text", ["a/../../b", "a\nb", "é", "x" * 5000, "$(id)", "\x1b[2J"])
def test_a_licence_is_an_identifier(text):
    """Of letters, digits, dots and dashes, and of a length that a kit takes."""
    found = spdx("other", text) or ""
    assert found.isascii()
    assert found.replace("-", "").replace(".", "").isalnum()
    assert len(found) <= 300


# --- cog.yaml


def cog(files):
    texts = {**GREETING, **files}
    return cog_proposal(CogProject("/srv/cog-blur", texts, {}))


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        bomb() + "<<: *a29\n",
        "a: &a [*a]\n",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "a: !!python/object/apply:os.system [id]\n",
        "a: 1\na: 2\n",
        "\x00",
        "\ufeff\ufeff",
        "",
        "--- 1\n--- 2\n",
        "&" + "a" * 100_000,
        "? [a]\n: b\n",
        "predict: &p [*p]\n",
    ],
)
def test_a_hostile_cog_yaml_is_refused(text):
    """Alias bombs, depth, tags and nothing at all: with the code of a wrong source."""
    with pytest.raises(MealkitError) as caught:
        cog({"cog.yaml": text})
    assert caught.value.problems[0].code == "USAGE"


def test_an_alias_bomb_takes_little_memory():
    """Ten to the thirty nodes are refused before they are made."""
    program = PEAK_KIB + (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (20, 20))\n"
        "from mealkit.importing.cog_files import CogProject\n"
        "from mealkit.importing.from_cog import cog_proposal\n"
        "from mealkit.errors import MealkitError\n"
        "try:\n    cog_proposal(CogProject('x', {'cog.yaml': sys.stdin.read()}, {}))\n"
        "except MealkitError as error:\n    print(error.problems[0].code)\n"
        "print(peak_kib())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=bomb(), text=True, capture_output=True, check=True
    )
    code, most_kib = done.stdout.split()
    assert code == "USAGE"
    assert int(most_kib) < 200 * 1024


def test_requirements_that_include_each_other_are_read_once():
    """A file that names itself a thousand times is no thousand to the eighth lines."""
    loop = "-r a.txt\n-r b.txt\nnumpy\n" * 300
    found = cog(
        {
            "cog.yaml": GREETING["cog.yaml"].replace(
                "build:\n", "build:\n  python_requirements: a.txt\n"
            ),
            "a.txt": loop,
            "b.txt": loop,
        }
    )
    assert len(found.kit["runtime"]["requirements"]) == 600


@pytest.mark.parametrize(
    "line",
    ["numpy\n--index-url http://x", "a; " + "(" * 900, "-r /etc/passwd", "a\x1b[2J", "a" * 5000],
)
def test_requirements_that_are_none_are_left_out(line):
    """What would be an option of uv, or a second line, does not come into the kit."""
    build = json.dumps({"build": {"python_packages": [line]}, "predict": "predict.py:Predictor"})
    found = cog({"cog.yaml": build})
    assert found.kit["runtime"]["requirements"] == []
    assert_written(found)


@pytest.mark.parametrize("name", ["a\nb.py", "*.py", "[x].py", "a\\b.py", "a\u202eb.py", "x" * 300])
def test_files_that_a_kit_cannot_name_are_left_out(name):
    """A file's name in a project is a field of kit.yaml, where ``*`` would be a pattern."""
    found = cog({name: "x = 1\n"})
    assert name not in found.files
    assert name not in found.kit["runtime"]["code"]
    assert any(item.what == name for item in found.left_out)
    assert_written(found)


@pytest.mark.parametrize("value", HOSTILE)
def test_strings_of_a_cog_yaml_are_data_of_the_kit_and_its_handler(value):
    """An image's name, variables and docstrings cannot add a line to YAML or Python."""
    config = {
        "predict": "predict.py:Predictor",
        "image": f"registry.invalid/{value}",
        "environment": [f"A={value}", f"{value}=x", value],
        "build": {
            "run": [value],
            "system_packages": [value],
            "python_version": value,
            value: value,
        },
        "tests": value,
        value or "x": value,
    }
    source = f"class Predictor:\n    def predict(self):\n        {value!r}\n"
    found = cog({"cog.yaml": yaml_value(config), "predict.py": source})
    files = assert_written(found)
    tree = ast.parse(files["mealkit_handler.py"])
    values = [
        ast.literal_eval(item.value)
        for item in tree.body
        if isinstance(item, ast.AnnAssign) and item.target.id == "ENVIRONMENT"
    ]
    kept = {} if "\0" in value else {"A": value}
    assert values in ([kept], [kept | {value: "x"}])
    assert all(name.isidentifier() for name in values[0])


@pytest.mark.parametrize(
    "source",
    [
        "-" * 200_000 + "1",
        "[]+" * 100_000 + "1",
        "(" * 5000,
        "a." * 60_000 + "b",
        "a," * 500_000,
        "\0",
    ],
    ids=range(6),
)
def test_a_predictor_that_cannot_be_looked_at_is_refused(source):
    """Python that nests too deep, or is too large, for a parser to be trusted with."""
    with pytest.raises(MealkitError, match=r"predict\.py") as caught:
        cog({"predict.py": source})
    assert caught.value.problems[0].code == "USAGE"


# --- the Hub

MODEL = {
    "README.md": "---\nlicense: mit\npipeline_tag: {tag}\n---\n",
    "config.json": {
        "architectures": ["LlamaForCausalLM"],
        "max_position_embeddings": 8192,
        "torch_dtype": "bfloat16",
        "id2label": {"0": "a"},
        "problem_type": "x",
        "num_labels": 3,
    },
    "tokenizer_config.json": {
        "chat_template": [{"name": "default", "template": "<tool_call>"}, {"name": "other"}],
        "model_max_length": 512,
    },
    "generation_config.json": {"do_sample": True, "top_k": 5, "temperature": 0.5, "mystery": 1},
    "modules.json": [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    ],
    "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "pooling_mode": "mean"},
    "sentence_bert_config.json": {"max_seq_length": 256},
    "config_sentence_transformers.json": {"prompts": {"query": "query: "}},
    "model.safetensors.index.json": {"weight_map": {"a": "model.safetensors"}},
    "genai_config.json": {"model": {"decoder": {"filename": "model.onnx"}}},
}
TAGS = ["text-generation", "feature-extraction", "text-classification", "text-ranking"]
REFUSALS = {"USAGE", "KIT_INVALID", "SOURCE_NOT_FOUND", "WEIGHTS_PICKLE"}
ANY = any_json(*HOSTILE)


def repository(texts, tag, card=None):
    said = {
        name: text if isinstance(text, str) else json.dumps(text) for name, text in texts.items()
    }
    said["README.md"] = card or said["README.md"].replace("{tag}", tag)
    sizes = {name: len(text) for name, text in said.items()}
    sizes |= {
        "model.safetensors": 15 * GIB,
        "model.onnx": GIB,
        "tokenizer.json": 9,
        "tokenizer.model": 9,
    }
    return Repository("someone/Some-7B", COMMIT, sizes, said)


PLACES = [
    (name, way)
    for name, form in MODEL.items()
    if not isinstance(form, str)
    for way in [(), *places(form)]
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.sampled_from(PLACES),
    value=ANY,
    tag=st.sampled_from(TAGS),
    engine=st.sampled_from([None, "transformers", "onnx", "vllm"]),
    sentence=st.booleans(),
)
def test_any_value_of_a_repositorys_configs_becomes_a_kit_or_a_refusal(
    place, value, tag, engine, sentence
):
    """Whatever stands in a config: a kit.yaml that says what was proposed, or a code."""
    name, way = place
    texts = {**MODEL, name: replaced(MODEL[name], way, value)}
    if not sentence and name != "modules.json":
        del texts["modules.json"]
    try:
        found = hub_proposal(repository(texts, tag), None, engine)
    except MealkitError as error:
        assert error.problems[0].code in REFUSALS  # noqa: PT017
    else:
        assert_written(found)


@pytest.mark.parametrize(
    "head",
    [
        bomb(),
        "license: &a [*a]",
        "license: " + "[" * 100_000,
        "license: 2020-99-99",
        "? {a: b}\n: c",
        "license: !!python/object/apply:os.system [id]",
        "x: " + "a" * 1_000_000,
        "license: 0x_",
        "license: .nan",
        "\x00",
        "",
    ],
)
def test_a_hostile_card_says_nothing(head):
    """A card's YAML with a bomb, a loop, a tag or no end is read as a card without a licence."""
    found = hub_proposal(repository(MODEL, "", card=f"---\n{head}\n---\n"), None, "transformers")
    assert found.kit["model"]["license"].startswith("LicenseRef-")
    assert_written(found)


# --- Modelfiles

LINES = [
    "FROM ./m.gguf",
    *(
        f"PARAMETER {name} "
        for name in ("num_predict", "num_ctx", "top_k", "temperature", "stop", "x")
    ),
    *("SYSTEM ", "TEMPLATE ", "LICENSE ", "MESSAGE user ", "ADAPTER ", "REQUIRES ", "", "NOPE "),
]


@QUICK
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(LINES),
            ODD | st.sampled_from(["²", "9" * 5000, "nan", "inf", "-1", "1e999"]),
        ),
        max_size=8,
    ),
    name=ANY,
    context=ANY,
)
def test_any_modelfile_becomes_a_kit_or_a_refusal(lines, name, context):
    """Every instruction with any value: a kit.yaml that says what was proposed, or a code."""
    text = "\n".join(["FROM ./m.gguf", *(head + value for head, value in lines)])
    metadata = {
        "general.architecture": "llama",
        "general.name": name,
        "general.license": name,
        "llama.context_length": context,
        "tokenizer.chat_template": name,
    }
    try:
        directives = parse_modelfile(text, "Modelfile")
        model = GgufModel(Path("/srv"), ["tiny.gguf"], metadata)
        found = modelfile_proposal(directives, model, "Modelfile")
    except MealkitError as error:
        assert error.problems[0].code == "KIT_INVALID"  # noqa: PT017
    else:
        assert_written(found)
