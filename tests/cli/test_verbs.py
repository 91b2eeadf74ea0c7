"""Each verb prints its result, for people and as JSON; what needs a network is tested elsewhere."""

import json

from mealkit.engines.whole_schema import full_schema
from mealkit.errors import CATALOGUE


def test_new_prints_the_path_and_the_next_step(mealkit, tmp_path):
    """A new kit passes the check at once."""
    result = mealkit("new", "soup", "--engine", "python")
    assert result.stdout == "soup/kit.yaml\n"
    assert "mealkit check soup" in result.stderr
    assert mealkit("check", "soup").returncode == 0
    again = mealkit("new", "soup")
    assert (again.returncode, again.stdout) == (3, "")
    assert "KIT_EXISTS" in again.stderr


def test_check_works_in_the_kits_own_folder(mealkit, kit, tmp_path):
    """Without an argument, it is the kit here."""
    for name in ("kit.yaml", "graph"):
        (kit / name).rename(tmp_path / name)
    assert mealkit("check").stdout == "soup 0.1.0 is valid\n"


def test_check_as_json(mealkit, kit):
    """With its warnings, and the state of the lock."""
    file = kit / "kit.yaml"
    text = file.read_text().replace("  task:", "  allow_pickle: true\n  task:")
    file.write_text(text.replace("  engine: onnx\n", "  engine: onnx\n  exclude: [sympy]\n"))
    form = json.loads(mealkit("check", "soup", "--json").stdout)
    assert (form["name"], form["version"]) == ("soup", "0.1.0")
    assert [item["code"] for item in form["warnings"]] == [
        "KIT_PICKLE_ALLOWED",
        *["KIT_PLACEHOLDER"] * 2,
    ]
    assert form["lock"] == {"missing": True, "stale": []}
    assert form["excluded"]["runtime.exclude"] == ["sympy"]
    assert "flatbuffers" in form["excluded"]["the engine onnx"]


def test_warnings_of_a_kit_are_shown(mealkit, kit):
    """But are no failure."""
    file = kit / "kit.yaml"
    text = file.read_text().replace("  task:", "  allow_pickle: true\n  task:")
    file.write_text(text.replace("  engine: onnx\n", "  engine: onnx\n  exclude: [sympy]\n"))
    result = mealkit("check", "soup")
    assert result.returncode == 0
    assert "warning[KIT_PICKLE_ALLOWED] " in result.stderr
    assert "left out of the lock by runtime.exclude: sympy\n" in result.stderr


def test_schema_prints_what_is_committed(mealkit):
    """The one that editors get."""
    assert json.loads(mealkit("schema").stdout) == full_schema()


def test_explain_says_everything_about_a_code(mealkit):
    """However it is written."""
    form = json.loads(mealkit("explain", "source-digest", "--json").stdout)
    assert form["code"] == "SOURCE_DIGEST"
    assert form["owner"] == "upstream"
    text = mealkit("explain", "SOURCE_DIGEST").stdout
    for value in form.values():
        assert str(value) in text


def test_explain_lists_every_code(mealkit):
    """When none is named."""
    forms = json.loads(mealkit("explain", "--json").stdout)
    assert [item["code"] for item in forms] == list(CATALOGUE)
    assert len(mealkit("explain").stdout.splitlines()) == len(CATALOGUE) + 1


def test_explain_knows_what_was_meant(mealkit):
    """A misspelt code gets a hint."""
    assert "did you mean KIT_INVALID or" in mealkit("explain", "KIT_INVALDI").stderr


def test_an_empty_store_has_no_images(mealkit):
    """A head without rows, and an empty list."""
    heads = ["name", "digest", "platform", "stored", "size", "state"]
    assert mealkit("images").stdout.split() == heads
    assert json.loads(mealkit("images", "--json").stdout) == []


def test_pruning_an_empty_store_frees_nothing(mealkit):
    """And makes no trouble."""
    assert mealkit("prune").stdout == "0 B freed\n"
    assert json.loads(mealkit("prune", "--json").stdout) == {
        "freed": 0,
        "files": 0,
        "nameless": [],
        "ended": [],
        "copies": [],
    }


def test_diff_of_two_kits_names_what_differs(mealkit, kit):
    """Kits without locks are compared as they are written; prompts line by line."""
    assert mealkit("new", "stew", "--engine", "onnx", "--task", "embeddings").returncode == 0
    file = kit.parent / "stew" / "kit.yaml"
    file.write_text(file.read_text().replace("max_length: 256", "max_length: 128"))
    result = mealkit("diff", "soup", "stew")
    assert result.returncode == 0
    assert result.stdout.splitlines()[:2] == [
        "changes answers",
        "  hyperparameters.max_length: 256 -> 128",
    ]
    changes = json.loads(mealkit("diff", "soup", "stew", "--json").stdout)["changes"]
    name = {"path": "name", "before": "soup", "after": "stew", "effect": "keeps"}
    assert name in changes


def test_the_home_can_be_named(mealkit, tmp_path):
    """Before the verb, and it wins over the environment."""
    assert mealkit("--home", str(tmp_path / "other"), "prune").returncode == 0
    assert not (tmp_path / "home").exists()
