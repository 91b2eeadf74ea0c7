"""What config.json says of a model reaches the lock, the requirements and the estimate."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes.engines import estimate, memory_of
from fakes.kits import KIT, FixedInputs, parts_of

from mealkit.engines.vllm.engine import RECIPE as VLLM
from mealkit.lock.resolve import resolve
from mealkit.memory.shape import (
    Experts,
    LatentAttention,
    Quantisation,
    Shape,
    SlidingWindow,
)
from mealkit.recipe.kit import Kit
from mealkit.recipe.lock import Lock, ModelShape, lock_bytes, read_lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.requirements import Requirements
from mealkit.sources.ranges import FileRanges
from mealkit.sources.read_shape import ModelFile, shape_of

PLAIN: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 32000,
}
# The numbers of deepseek-ai/DeepSeek-V2-Lite's config.json.
LATENT: dict[str, Any] = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "max_position_embeddings": 163840,
    "vocab_size": 102400,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1408,
}
LATENT_NAMES = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
GPTQ = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
GEMMA = {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "sliding_window": 4096}

ReadModel = Callable[[dict[str, Any]], ModelShape]


class Described(FixedInputs):
    """Fixed inputs, with a model that says what it is like."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self._shape = shape

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        return super().weights(kit)[0], self._shape


@pytest.fixture
def read_model(tmp_path: Any, safetensors: Callable[..., bytes]) -> ReadModel:
    """Read a model of real files: a config.json, and weights with a tied output matrix."""

    def read(config: dict[str, Any]) -> ModelShape:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tensors = {
            "model.embed_tokens.weight": ("BF16", [8, 4], 64),
            "lm_head.weight": ("BF16", [8, 4], 64),
        }
        (tmp_path / "model.safetensors").write_bytes(safetensors(tensors))
        return shape_of(
            [
                ModelFile("config.json", "json", FileRanges(tmp_path / "config.json")),
                ModelFile(
                    "model.safetensors", "safetensors", FileRanges(tmp_path / "model.safetensors")
                ),
            ]
        )

    return read


def locked(shape: ModelShape) -> Lock:
    """The lock of a vLLM kit with such a model, written and read again."""
    parts = parts_of(KIT, recipe=VLLM, settings={"device": "cuda", "max_model_len": 32768})
    return read_lock(lock_bytes(resolve(parts, Described(shape))))


def required(config: dict[str, Any], read_model: ReadModel) -> Shape:
    """The model in the requirements, as a machine reads them from an image's annotation."""
    text = locked(read_model(config)).requirements.model_dump_json()
    model = Requirements.model_validate_json(text).model
    assert model is not None
    return model


def cache_bytes(config: dict[str, Any], read_model: ReadModel) -> int:
    """What the estimate takes for keys and values."""
    requirements = locked(read_model(config)).requirements
    assert requirements.model is not None
    assert requirements.demand is not None
    terms = estimate(
        requirements.model, requirements.demand.setting(memory_of(requirements.demand.engine))
    ).terms
    return sum(term.likely_bytes for term in terms if "cache" in term.name.lower())


def test_latent_attention_and_experts_are_required_as_they_are(read_model: ReadModel) -> None:
    """DeepSeek's compressed cache and its experts are in the requirements."""
    model = required(LATENT, read_model)
    assert model.latent == LatentAttention(512, 64, 320)
    assert model.experts == Experts(64, 6, 1408, 2816)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sliding_window": 4096}, SlidingWindow(4096, 32)),
        (GEMMA, SlidingWindow(4096, 16)),
        ({"sliding_window": None}, None),
    ],
)
def test_windows_are_required_as_they_are(
    fields: dict[str, Any], expected: SlidingWindow | None, read_model: ReadModel
) -> None:
    """Mistral slides in every layer, Gemma 2 in every other one."""
    assert required({**PLAIN, **fields}, read_model).window == expected


def test_quantisation_is_required_as_it_is(read_model: ReadModel) -> None:
    """GPTQ's four bits are in the requirements, not the type of the tensors that hold them."""
    model = required({**PLAIN, **GPTQ}, read_model)
    assert model.quantisation == Quantisation("gptq", 4)
    assert model.weight_bits == 4


def test_a_tied_output_matrix_is_required_once(read_model: ReadModel) -> None:
    """The file holds it beside the embeddings, memory does not."""
    model = required({**PLAIN, "tie_word_embeddings": True}, read_model)
    assert (model.file_bytes, model.loaded_bytes) == (128, 64)


def test_the_estimate_of_a_lock_counts_the_compressed_cache(read_model: ReadModel) -> None:
    """576 numbers a token and layer instead of 4096: a seventh of the cache."""
    plain = {name: value for name, value in LATENT.items() if name not in LATENT_NAMES}
    compressed, whole = cache_bytes(LATENT, read_model), cache_bytes(plain, read_model)
    assert 0 < compressed * 7 < whole


def test_the_estimate_of_a_lock_counts_the_window(read_model: ReadModel) -> None:
    """Layers that slide keep less than all 32768 tokens."""
    sliding = cache_bytes({**PLAIN, "sliding_window": 4096}, read_model)
    assert 0 < sliding < cache_bytes(PLAIN, read_model)


def test_the_description_keeps_answers(read_model: ReadModel) -> None:
    """Two descriptions of the same files have one recipe digest."""
    one, other = locked(read_model(PLAIN)), locked(read_model({**PLAIN, **GPTQ}))
    assert one.model.shape != other.model.shape
    assert one.recipe == other.recipe


def test_a_model_that_says_too_little_has_no_requirements_of_memory(
    read_model: ReadModel,
) -> None:
    """It is locked all the same."""
    lock = locked(read_model({"architectures": ["New"]}))
    assert lock.model.shape.architecture == "New"
    assert lock.requirements.model is None
