"""A kit's tokenizer counts tokens on the host as data that is checked first."""

import json
import shutil

import pytest
from fakes.little import OFFLINE, edit_kit, little_kit
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split, Whitespace

from mealkit.errors import Problem
from mealkit.pipeline.data.fitting_data import FitRequest, fit_data
from mealkit.pipeline.data.kit_tokenizer import opened_tokenizer
from mealkit.pipeline.data.pattern_cost import is_cheap
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.progress import SILENT
from mealkit.recipe.lock import read_lock

GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def file_of(folder, pre_tokenizer):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "one": 1, "two": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.enable_truncation(2)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_tokens_are_counted_beyond_the_models_limit(tmp_path):
    """The file's truncation does not hide a text's length, and unknown tokens are known."""
    found = opened_tokenizer(file_of(tmp_path, Whitespace()))
    assert not isinstance(found, Problem)
    assert (list(found.encode("one two three one")), found.unknown) == ([1, 2, 0, 1], 0)


def test_an_images_tokenizer_is_in_its_weights(tmp_path, monkeypatch):
    """`fit` counts tokens for an image as for its kit; of a lock alone the rule is not checked."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    kit, home = little_kit(tmp_path / "kit"), home_at(tmp_path / "home")
    file_of(kit / "weights", Whitespace())
    rules = {"length": {"maximum_tokens": 2}}
    edit_kit(kit, lambda form: form["model"]["weights"][0]["files"].append("tokenizer.json"))
    edit_kit(kit, lambda form: form.update(data={"inputs": {"input": rules}}))
    build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=SILENT)
    data = tmp_path / "data.jsonl"
    data.write_text('{"input": "one two"}\n{"input": "one two three"}\n')

    def found(target):
        report = fit_data(FitRequest((data,), str(target)), home, SILENT)
        return report.refused, report.unchecked

    lock = (kit / "kit.lock").rename(tmp_path / "kit.lock")
    name = read_lock(lock.read_bytes(), "kit.lock").about.name
    assert found(name) == (1, ())
    shutil.rmtree(home.files)
    assert found(lock) == (0, ("input.length.tokens",))


@pytest.mark.parametrize("pattern", [GPT_2, LLAMA_3, O200K, r"\s{2,}", "[^(|[.,!?]+"])
def test_the_expressions_of_published_models_are_accepted(pattern):
    """They have no repetition inside of a repetition."""
    assert is_cheap(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(?:a*)*b",
        "(a|aa)+$",
        "((a|b)+c)*d",
        r"(a)\1",
        "a*a*a*a*a*b",
        "(?=a+)b",
        "a" * 5000,
    ],
)
def test_an_expression_that_may_hang_is_refused(tmp_path, pattern):
    """An expression that can take exponential time is not run on the host."""
    assert not is_cheap(pattern)
    found = opened_tokenizer(file_of(tmp_path, Split(Regex(pattern), "isolated")))
    assert isinstance(found, Problem)
    assert "may hang" in found.message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"model": 3}', "[" * 100, json.dumps({"model": {"type": "x"}})]
)
def test_a_file_that_is_no_tokenizer_is_a_problem(tmp_path, text):
    """The library's errors become one problem of the kit's author."""
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    found = opened_tokenizer(path)
    assert isinstance(found, Problem)
    assert found.code == "DATA_TOKENIZER"
