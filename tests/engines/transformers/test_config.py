"""Settings and hyperparameters, checked again in the container."""

import json

import pytest

from mealkit.engines.hyperparameters import (
    ClassificationHyperparameters,
    EmbeddingHyperparameters,
    RerankingHyperparameters,
)
from mealkit.engines.transformers.config import ModelConfig
from mealkit.engines.transformers.engine import TransformersSettings
from mealkit.errors import MealkitError
from mealkit.worker.encoding_values import EmbeddingConfig, ScoringConfig
from mealkit.worker.interface import WorkerConfig

EMBEDDING = {"pooling": "mean", "max_length": 256, "normalize": True, "overlong": "refuse"}
SCORING = {"function": "softmax", "max_length": 256, "overlong": "refuse"}


def config_of(settings, hyperparameters):
    fields = {"settings": settings, "hyperparameters": hyperparameters}
    fields |= {"model_name": "m", "model_root": "/models", "task": "t", "code_root": "/code"}
    return WorkerConfig.from_json(json.dumps(fields))


def refused(read, settings, hyperparameters=()):
    with pytest.raises(MealkitError) as caught:
        read(config_of(settings, dict(hyperparameters)))
    assert caught.value.problems[0].code == "CONFIG_INVALID"
    return caught.value.problems[0].where


def test_what_the_recipe_writes_the_worker_reads(transformers_settings):
    """The defaults of the build side are exactly the fields that the container asks for."""
    written = TransformersSettings().model_dump(mode="json")
    assert written == transformers_settings
    assert ModelConfig.of(config_of(written, {})).dtype == "float32"
    hyperparameters = EmbeddingHyperparameters(pooling="cls", max_length=5, normalize=True)
    config = config_of(written, hyperparameters.model_dump(mode="json"))
    assert EmbeddingConfig.of(config) == EmbeddingConfig("cls", 5, normalize=True)
    for model, function in (
        (ClassificationHyperparameters, "softmax"),
        (RerankingHyperparameters, "none"),
    ):
        chosen = model(max_length=5, function=function).model_dump(mode="json")
        assert ScoringConfig.of(config_of(written, chosen), (function,)).function == function


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"dtype": "int8"}, "settings.dtype"),
        ({"device": "cuda:1"}, "settings.device"),
        ({"attn_implementation": "flash_attention_2"}, "settings.attn_implementation"),
        ({"threads": 0}, "settings.threads"),
        ({"threads": True}, "settings.threads"),
        ({"max_batch_size": 2}, "settings.max_batch_size"),
        ({"trust_remote_code": 1}, "settings.trust_remote_code"),
        ({"magic": 1}, "settings.magic"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(transformers_settings, changed, where):
    """Unknown and impossible flags are named."""
    assert refused(ModelConfig.of, {**transformers_settings, **changed}) == where


def test_every_flag_must_be_there(transformers_settings):
    """A container with an incomplete configuration does not start."""
    for name in transformers_settings:
        fewer = {other: value for other, value in transformers_settings.items() if other != name}
        assert refused(ModelConfig.of, fewer) == f"settings.{name}"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"pooling": "max"}, "hyperparameters.pooling"),
        ({"max_length": 0}, "hyperparameters.max_length"),
        ({"normalize": 1}, "hyperparameters.normalize"),
        ({"overlong": "cut"}, "hyperparameters.overlong"),
        ({"magic": 1}, "hyperparameters.magic"),
    ],
)
def test_hyperparameters_that_cannot_be_honoured_are_refused(changed, where):
    """Unknown and impossible values are named."""
    assert refused(EmbeddingConfig.of, {}, {**EMBEDDING, **changed}) == where


def test_a_function_belongs_to_its_task():
    """none is for scores, not for probabilities."""
    read = lambda config: ScoringConfig.of(config, ("softmax", "sigmoid"))  # noqa: E731
    assert refused(read, {}, {**SCORING, "function": "none"}) == "hyperparameters.function"
