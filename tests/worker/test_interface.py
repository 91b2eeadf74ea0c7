"""The form of a worker's configuration."""

import json
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.interface import WorkerConfig, require_fields

CONFIG = WorkerConfig(
    "m", Path("/models"), "embeddings", {"pooling": "mean"}, {"threads": 1}, Path("/code")
)


def test_a_configuration_survives_json():
    """What one process writes, the other reads."""
    assert WorkerConfig.from_json(json.dumps(CONFIG.as_json())) == CONFIG


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        (b"\xff", "not JSON"),
        ("[]", "worker is list, expected an object"),
        ("{}", "worker.code_root is missing"),
    ],
)
def test_what_is_no_configuration_is_refused(text, said):
    """The field, or the whole, is named."""
    with pytest.raises(MealkitError, match="CONFIG_INVALID") as caught:
        WorkerConfig.from_json(text)
    assert said in caught.value.problems[0].message


def test_true_is_no_number():
    """A bool where a number belongs is refused, though Python calls it an int."""
    with pytest.raises(MealkitError, match=r"settings\.threads is bool, expected int"):
        require_fields({"threads": True}, {"threads": int}, "settings")
