"""What the files beside a model's weights say of its tokens."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from mealkit.errors import MealkitError
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer
from mealkit.worker.tokenizer.vocabulary import Vocabulary, end_ids_in

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = ("<s>", "</s>")


@pytest.fixture
def vocabulary(tmp_path):
    """Write a model's files and read them: ``vocabulary(config={...}, template="...")``."""
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(LETTERS)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 256)]
    )
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    def read(template=None, **files):
        for name, form in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(form))
        if template is not None:
            (tmp_path / "chat_template.jinja").write_text(template)
        return Vocabulary(tmp_path)

    return read


def test_names_of_special_tokens_are_these_tokens(vocabulary):
    """In a rendered template, and in a text, which also gets the tokens that belong around it."""
    found = vocabulary()
    assert found.tokenize("</s>", rendered=True) == [257]
    assert found.tokenize("</s>", rendered=False) == [256, 257]


def test_nothing_is_cut(vocabulary):
    """A limit in the file is not the model's."""
    assert len(vocabulary().tokenize("abcdef", rendered=True)) == 6


@pytest.mark.parametrize(
    ("config", "before", "after"),
    [
        ({}, [256], []),
        ({"add_bos_token": False}, [], []),
        ({"add_bos_token": True, "add_eos_token": True}, [256], [257]),
        ({"add_bos_token": True, "bos_token": {"content": "</s>"}}, [257], []),
        ({"add_bos_token": True, "bos_token": "<none>"}, [], []),
        ({"add_eos_token": True}, [], [257]),
    ],
)
def test_what_goes_around_a_text(vocabulary, config, before, after):
    """The tokenizer's configuration wins over its own file, where it says something."""
    found = vocabulary(
        special_tokens_map={"bos_token": "<s>", "eos_token": "</s>"}, tokenizer_config=config
    )
    letter = found.tokenize("a", rendered=True)
    assert found.tokenize("a", rendered=False) == [*before, *letter, *after]


def test_ends_are_gathered_from_all_files(vocabulary):
    """A number, a list, or nothing; what is no number is left out."""
    found = vocabulary(
        tokenizer_config={"eos_token": "</s>"},
        generation_config={"eos_token_id": [3, "4", True]},
        config={"eos_token_id": 5},
    )
    assert found.end_ids == {257, 3, 5}
    assert (end_ids_in(None), end_ids_in(True), end_ids_in([1.0])) == (set(), set(), set())


@pytest.mark.parametrize(
    ("stated", "file", "found"),
    [
        (None, None, None),
        ("stated", None, "stated"),
        ("stated", "file", "file"),
        ([{"name": "other", "template": "x"}, {"name": "default", "template": "y"}], None, "y"),
        ([{"name": "other", "template": "x"}, "odd"], None, None),
        ({"default": "x"}, None, None),
    ],
    ids=range(6),
)
def test_the_chat_template(vocabulary, stated, file, found):
    """A file of its own wins, and of several the one named default is taken."""
    assert vocabulary(file, tokenizer_config={"chat_template": stated}).chat_template == found


def test_tokens_that_are_not_there_stand_for_nothing(vocabulary):
    """Special ones neither."""
    found = vocabulary()
    assert (found.piece(99_999), found.piece(257), found.first_id) == (b"", b"", 0)


def test_half_of_a_pair_is_no_text(vocabulary):
    """It is the caller's fault."""
    with pytest.raises(MealkitError, match="REQUEST_INVALID"):
        vocabulary().tokenize("\ud800", rendered=False)


def test_ids_far_apart_are_refused(vocabulary, tmp_path):
    """A file of some KB cannot make a vocabulary of billions."""
    vocabulary()
    path = tmp_path / "tokenizer.json"
    form = json.loads(path.read_text())
    form["model"]["vocab"]["far"] = 2_000_000_000
    path.write_text(json.dumps(form))
    with pytest.raises(MealkitError, match="ENGINE_START"):
        Vocabulary(tmp_path)


@pytest.mark.parametrize("text", [None, "", "{}", "not JSON"])
def test_a_tokenizer_that_cannot_be_read(tmp_path, text):
    """The file is named; a folder of older files can be converted instead."""
    if text is not None:
        (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(MealkitError, match=r"ENGINE_START|WEIGHTS_MISSING") as caught:
        open_tokenizer(tmp_path)
    assert "tokenizer.json" in str(caught.value.problems[0].where)
    made = Tokenizer(models.BPE())
    if text is None:
        assert open_tokenizer(tmp_path, lambda _root: made) is made
