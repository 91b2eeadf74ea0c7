"""JSON and text beside weights, in an image whose author may be anyone."""

import os

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE

from mealkit.engines.python.request_files import answer_file
from mealkit.errors import MealkitError
from mealkit.worker.generation.pinned_values import GenerationConfig
from mealkit.worker.interface import WorkerConfig
from mealkit.worker.model_files import positions_of, read_json, read_text
from mealkit.worker.tokenizer.vocabulary import Vocabulary


def code_of(call):
    with pytest.raises(MealkitError) as error:
        call()
    return error.value.problems[0].code


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"{", b"\xff", b'{"a": ' + b"9" * 5000 + b"}"],
    ids=range(6),
)
def test_json_that_cannot_be_read_ends_the_start(tmp_path, data):
    """Depth, another kind of value and no JSON are one problem each."""
    path = tmp_path / "config.json"
    path.write_bytes(data)
    assert code_of(lambda: read_json(path)) == "ENGINE_START"


def test_files_are_read_as_far_as_they_may_be_large(tmp_path):
    """A file that is larger than any model's, or no text, is not read."""
    path = tmp_path / "config.json"
    path.touch()
    os.truncate(path, 2**40)
    assert code_of(lambda: read_json(path)) == "ENGINE_START"
    path.write_bytes(b"\xff")
    assert code_of(lambda: read_text(path)) == "ENGINE_START"
    path.unlink()
    os.mkfifo(path)
    assert code_of(lambda: read_text(path)) == "ENGINE_START"
    assert read_json(path) == {}


@pytest.mark.parametrize(
    ("stated", "positions"),
    [("512", 512), ("0", 2**31), ("-1", 2**31), ("true", 2**31), ("1e3", 2**31), ('"9"', 2**31)],
)
def test_positions_are_a_number_above_zero(tmp_path, stated, positions):
    """A value that is not a number of tokens counts as missing."""
    (tmp_path / "config.json").write_text(f'{{"n_positions": {stated}, "x": Infinity}}')
    assert positions_of(tmp_path) == positions


def test_an_endless_number_is_not_turned_into_a_float(tmp_path):
    """A temperature of 400 digits is refused by its field."""
    values = {"temperature": 10**400}
    config = WorkerConfig("m", tmp_path, "generation", values, {}, tmp_path)
    assert code_of(lambda: GenerationConfig.of(config)) == "CONFIG_INVALID"


def test_an_answers_file_is_a_regular_one(tmp_path):
    """A handler that answers with a FIFO or a device does not keep its worker waiting."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    device = tmp_path / "device"
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        assert code_of(lambda path=path: answer_file(path, 1000)) == "ENGINE_ANSWER"


def test_ids_far_beyond_the_tokens_end_the_start(tmp_path):
    """A vocabulary with an id of two thousand millions is rejected without a loop up to it."""
    text = str(Tokenizer(BPE({"a": 0, "b": 1}, [])).to_str()).replace('"a":0', f'"a":{2**31 - 1}')
    (tmp_path / "tokenizer.json").write_text(text)
    assert code_of(lambda: Vocabulary(tmp_path)) == "ENGINE_START"
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").touch()
    os.truncate(tmp_path / "tokenizer.json", 2**40)
    assert code_of(lambda: Vocabulary(tmp_path)) == "ENGINE_START"


@pytest.mark.parametrize(
    "stated",
    ['{"chat_template": [1, null, {"name": []}]}', '{"chat_template": {"a": 1}}', '{"x_token": 5}'],
)
def test_a_chat_template_of_another_form_is_none(tmp_path, stated):
    """Whatever tokenizer_config.json has in the template's place is a template or nothing."""
    tokenizer = Tokenizer(BPE({"a": 0, "b": 1}, []))
    tokenizer.decoder = ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(stated)
    (tmp_path / "config.json").write_text('{"eos_token_id": [true, "1", 1.0, 1]}')
    found = Vocabulary(tmp_path)
    assert found.chat_template is None
    assert list(map(type, found.end_ids)) == [int]
