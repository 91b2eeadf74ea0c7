"""Large texts: what surely has too many tokens is refused before it is tokenized, nothing else is."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from mealkit.errors import MealkitError
from mealkit.worker.measuring import WINDOW_CHARACTERS, require_fitting
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer

MANY = 300_000
BYTE_LEVEL = Path(__file__).parents[2] / "kits" / "tiny-llama"


def code_of(action):
    with pytest.raises(MealkitError) as caught:
        action()
    (problem,) = caught.value.problems
    return problem.code, problem.where


class Counting:
    """A tokenizer that has a token for each character, and notes how many it was given."""

    def __init__(self):
        self.seen = 0

    def __call__(self, text):
        self.seen += len(text)
        return range(len(text))


def test_a_text_is_refused_by_its_first_windows():
    """However long it is, it is tokenized only until it is certainly too long."""
    tokenize = Counting()
    text = "x" * (100 * MANY)
    assert code_of(lambda: require_fitting(text, 512, tokenize, "it", "input[0]")) == (
        "REQUEST_TOO_LONG",
        "input[0]",
    )
    assert tokenize.seen == WINDOW_CHARACTERS


def test_a_text_of_few_characters_is_not_measured():
    """It is tokenized at once: its tokens are few."""
    tokenize = Counting()
    require_fitting("x" * WINDOW_CHARACTERS, 1, tokenize, "it", "input")
    require_fitting("x" * MANY, MANY, tokenize, "it", "input")
    assert tokenize.seen == 0


def test_a_text_is_measured_once():
    """A text that may fit is read once, and its long runs of spaces once more."""
    tokenize = Counting()
    require_fitting(" " * MANY, MANY - 1, lambda text: tokenize(text)[:400], "it", "input")
    assert tokenize.seen < 2 * MANY


# Texts with few tokens, however many characters they have.
FITTING = {
    "blanks": " " * MANY + "salt" + "\t\n" * MANY,
    "a long word": "a" * MANY,
    "long words": ("a" * 5_000 + " ") * 200,
    "no characters": "\x00\x01\x02" * MANY,
    "another script": "\u16a0" * MANY,
}


@pytest.mark.parametrize("text", FITTING.values(), ids=FITTING)
def test_a_large_text_that_fits(onnx_folder, text):
    """It has the tokens that the tokenizer gives it, and is not refused for its size."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    plain = Tokenizer.from_file(str(onnx_folder / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    wanted = plain.encode(text)
    assert len(wanted.ids) <= 256
    (found,) = tokenizer.texts([text])
    assert (list(found.ids), list(found.type_ids)) == (wanted.ids, wanted.type_ids)
    assert list(tokenizer.ids(text)) == wanted.ids


def test_a_special_token_that_takes_blanks(tmp_path):
    """Spaces next to it are not tokens, in any window."""
    path = tmp_path / "tokenizer.json"
    stated = json.loads((BYTE_LEVEL / "tokenizer.json").read_text())
    used = {item["id"] for item in stated["added_tokens"]}
    stated["added_tokens"].append(
        {"id": max(used) + 1000, "content": "<mask>", "special": True, "lstrip": True}
        | {"rstrip": True, "single_word": False, "normalized": False}
    )
    path.write_text(json.dumps(stated))
    tokenizer = TextTokenizer(open_tokenizer(tmp_path), max_length=64)
    (found,) = tokenizer.texts(["a" + " " * 200_000 + "<mask>" + " " * 200_000])
    assert len(found.ids) < 8


TOO_LONG = {
    "words": "salt " * (MANY // 5),
    "digits": "1 2 " * (MANY // 4),
    "another script": "日" * MANY,
    "words behind blanks": " " * MANY + "salt " * (MANY // 5),
    "words between blanks": (" " * 5_000 + "salt " * 600) * 200,
}


@pytest.mark.parametrize("text", TOO_LONG.values(), ids=TOO_LONG)
def test_a_large_text_that_is_too_long(onnx_folder, text):
    """It is refused with its place, as an input, a query and a document."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    assert code_of(lambda: tokenizer.texts(["a", text])) == ("REQUEST_TOO_LONG", "input[1]")
    assert code_of(lambda: tokenizer.pairs("a", ["a", text])) == (
        "REQUEST_TOO_LONG",
        "documents[1]",
    )
    assert code_of(lambda: tokenizer.pairs(text, ["a"]))[0] == "REQUEST_TOO_LONG"


def test_a_long_query_of_many_documents(onnx_folder):
    """It is tokenized once, and each pair has the tokens that the tokenizer gives it."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    query, documents = "salt " * 20 + " " * MANY, ["pepper", "salt and pepper", "\u16a0"]
    plain = open_tokenizer(onnx_folder)
    found = tokenizer.pairs(query, documents)
    for pair, document in zip(found, documents, strict=True):
        wanted = plain.encode(query, document)
        assert (list(pair.ids), list(pair.type_ids)) == (wanted.ids, wanted.type_ids)
    assert len(tokenizer.pairs(" " * 100_000, ["pepper"] * 100)) == 100


def test_more_tokens_than_are_told(onnx_folder):
    """Tokens are returned for texts over the model's limit, but only up to a maximum."""
    tokenizer = TextTokenizer(open_tokenizer(onnx_folder), max_length=256)
    assert len(tokenizer.ids("salt " * 20_000)) == 20_002
    assert code_of(lambda: tokenizer.ids("1 " * 600_000)) == ("REQUEST_TOO_LONG", "prompt")


PEAK = """
import sys, threading
from pathlib import Path
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.errors import MealkitError

tokenizer = TextTokenizer(open_tokenizer(Path(sys.argv[1])), max_length=256)
refused = []
def ask():
    try:
        tokenizer.texts(["1 " * (2 * 1024 * 1024)])
    except MealkitError as error:
        refused.append(error.problems[0].code)
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert refused == ["REQUEST_TOO_LONG"] * 4, refused
"""


def test_four_texts_of_four_megabytes_at_once(onnx_folder):
    """They are refused within memory in which not one of them could be tokenized."""

    def bounded():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(onnx_folder)],
        preexec_fn=bounded,
        env={"TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
