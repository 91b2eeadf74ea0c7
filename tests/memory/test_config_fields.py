"""Fields of a config.json are read with their types, and mean what the model's code makes of them."""

import pytest

from mealkit.memory.config_fields import positions_of


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 8194, "pad_token_id": 1}, 8192),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 0}, 513),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ({"model_type": "roberta", "max_position_embeddings": 1}, 1),
        ({"model_type": "a", "text_config": {"n_positions": 64}}, 64),
        ({"model_type": "roberta"}, 0),
        (
            {"architectures": ["XLMRobertaForMaskedLM"], "max_position_embeddings": 514},
            512,
        ),
        ({"architectures": ["BertModel"], "max_position_embeddings": 514}, 514),
        ({"architectures": [], "max_position_embeddings": 514}, 514),
        ({"model_type": ["roberta"], "n_positions": 64}, 64),
    ],
)
def test_positions_that_no_input_uses_do_not_count(config, positions):
    """RoBERTa and its family number an input's positions from pad_token_id + 1 on."""
    assert positions_of(config) == positions
