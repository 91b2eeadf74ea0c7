"""What a lock pins of embeddings, classification and reranking is checked where it is used."""

from pathlib import Path

import pytest

from mealkit.errors import ContainerError
from mealkit.worker.encoding_values import EmbeddingConfig, ScoringConfig
from mealkit.worker.interface import WorkerConfig

EMBEDDING = {"pooling": "cls", "max_length": 16, "normalize": True, "overlong": "refuse"}
SCORING = {"function": "softmax", "max_length": 16, "overlong": "refuse"}
FUNCTIONS = ("softmax", "sigmoid")


def config(values):
    return WorkerConfig("m", Path("/models"), "t", values, {}, Path("/code"))


def refused(read, values):
    with pytest.raises(ContainerError, match="CONFIG_INVALID") as caught:
        read(values)
    return caught.value.problems[0].message


def embedding(values):
    return EmbeddingConfig.of(config(values))


def scoring(values):
    return ScoringConfig.of(config(values), FUNCTIONS)


def test_what_is_right_is_read():
    """Every value is taken as it is."""
    assert embedding(EMBEDDING) == EmbeddingConfig("cls", 16, normalize=True)
    assert scoring(SCORING) == ScoringConfig("softmax", 16)


@pytest.mark.parametrize(
    ("read", "good", "changes"),
    [
        *[
            (embedding, EMBEDDING, changes)
            for changes in ({"pooling": "max"}, {"normalize": 1}, {"normalize": None})
        ],
        *[(scoring, SCORING, changes) for changes in ({"function": "tanh"}, {"function": 1})],
        *[
            (read, good, changes)
            for read, good in ((embedding, EMBEDDING), (scoring, SCORING))
            for changes in (
                {"max_length": 0},
                {"max_length": -1},
                {"max_length": True},
                {"max_length": 16.0},
                {"overlong": "truncate"},
                {"surprise": 1},
            )
        ],
    ],
    ids=range(17),
)
def test_what_cannot_be_honoured_is_named(read, good, changes):
    """Another value, another type and a field too many do not start."""
    (name,) = changes
    assert f"hyperparameters.{name}" in refused(read, {**good, **changes})


@pytest.mark.parametrize(("read", "good"), [(embedding, EMBEDDING), (scoring, SCORING)])
def test_what_is_missing_is_named(read, good):
    """No value has a default here."""
    for name in good:
        left = {key: value for key, value in good.items() if key != name}
        assert f"hyperparameters.{name}" in refused(read, left)
