"""Write a Llama as an ONNX graph that computes on the publisher's model.safetensors as it is.

The graph carries no weights: each is a byte range of the file, widened to float32 on loading.
Inputs and outputs have the names that onnxruntime-genai looks for, and genai_config.json says the
rest. Refuses shapes that this graph would compute wrongly.

Run it where onnx and numpy are installed; it is not needed to build the kit, because its output,
graph/, is part of the kit::

    python make_graph.py FOLDER_WITH_THE_MODEL [OUTPUT_FOLDER]

The arithmetic is that of Touvron et al., arXiv:2302.13971, section 2.2: RMSNorm before each part,
SwiGLU, rotary positions; names of weights and their order within a head are transformers'.
"""

import hashlib
import json
import math
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "model.onnx"
MICROSOFT = "com.microsoft"
TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}
# What a Llama may say of itself only in this way: anything else is another arithmetic.
EXPECTED = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def main(arguments: list[str]) -> int:
    """Write the graph and its configuration, and print what identifies them.

    Raises:
        SystemExit: the model is not one that this graph computes.
    """
    folder = Path(arguments[0])
    target = Path(arguments[1]) if arguments[1:] else Path(__file__).parent / "graph"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    require(config)
    graph = Llama(config, folder / WEIGHTS_NAME).model()
    target.mkdir(parents=True, exist_ok=True)
    write(target / GRAPH_NAME, graph.SerializeToString(deterministic=True))
    described = json.dumps(genai_config(config), indent=2, sort_keys=True) + "\n"
    write(target / "genai_config.json", described.encode())
    print(f"onnx {onnx.__version__}")
    for path in sorted(target.iterdir()):
        data = path.read_bytes()
        print(f"{path.name} {len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}")
    return 0


def require(config: dict[str, Any]) -> None:
    """Refuse what differs from a plain Llama.

    Raises:
        SystemExit: it differs.
    """
    for name, expected in EXPECTED.items():
        if (found := config.get(name, expected)) != expected:
            raise SystemExit(f"{name} is {found!r}, expected {expected!r}")
    if (kind := config["rope_parameters"]["rope_type"]) != "default":
        raise SystemExit(f"the rotary positions are scaled ({kind}), which this graph does not do")


class Llama:
    """A graph in the making: each method appends nodes and returns the name of what they give."""

    def __init__(self, config: dict[str, Any], weights: Path) -> None:
        """Read where each tensor lies.

        Format: 8 bytes little-endian length, a JSON header of that length, then the data
        (https://huggingface.co/docs/safetensors).
        """
        with weights.open("rb") as stream:
            (header_bytes,) = struct.unpack("<Q", stream.read(8))
            self._header = json.loads(stream.read(header_bytes))
        self._data_offset = 8 + header_bytes
        self._config = config
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        """Return the whole graph: tokens, mask and cache in; the last logits and the cache out."""
        config, layers = self._config, self._config["num_hidden_layers"]
        ids = ["input_ids", "attention_mask"]
        inputs = [integers(name, length) for name, length in zip(ids, ("new", "all"), strict=True)]
        outputs = [floats("logits", ["batch", 1, config["vocab_size"]])]
        positions = self._positions()
        x = self._embedded()
        for number in range(layers):
            x = self._layer(x, number, positions)
            for part in ("key", "value"):
                inputs.append(floats(f"past_key_values.{number}.{part}", self._cache("past")))
                outputs.append(floats(f"present.{number}.{part}", self._cache("all")))
        self._logits(self._norm(x, "model.norm.weight"))
        graph = helper.make_graph(
            self._nodes, "llama", inputs, outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _cache(self, length: str) -> list[Any]:
        config = self._config
        return ["batch", config["num_key_value_heads"], length, config["head_dim"]]

    def _layer(self, x: str, number: int, positions: list[str]) -> str:
        name = f"model.layers.{number}"
        normed = self._norm(x, f"{name}.input_layernorm.weight")
        x = self._node("Add", [x, self._attention(normed, name, number, positions)])
        normed = self._norm(x, f"{name}.post_attention_layernorm.weight")
        gate = self._linear(normed, f"{name}.mlp.gate_proj.weight")
        silu = self._node("Mul", [gate, self._node("Sigmoid", [gate])])
        wide = self._node("Mul", [silu, self._linear(normed, f"{name}.mlp.up_proj.weight")])
        return self._node("Add", [x, self._linear(wide, f"{name}.mlp.down_proj.weight")])

    def _attention(self, x: str, name: str, number: int, positions: list[str]) -> str:
        config = self._config
        parts = [self._linear(x, f"{name}.self_attn.{part}_proj.weight") for part in "qkv"]
        past = [f"past_key_values.{number}.{part}" for part in ("key", "value")]
        output = f"{name}.attention"
        node = helper.make_node(
            "GroupQueryAttention",
            [*parts, *past, *positions],
            [output, f"present.{number}.key", f"present.{number}.value"],
            output,
            domain=MICROSOFT,
            num_heads=config["num_attention_heads"],
            kv_num_heads=config["num_key_value_heads"],
            scale=1 / math.sqrt(config["head_dim"]),
            do_rotary=1,
        )
        self._nodes.append(node)
        return self._linear(output, f"{name}.self_attn.o_proj.weight")

    def _positions(self) -> list[str]:
        """Give the lengths that attention needs, and the table of rotary angles."""
        config = self._config
        one = self._constant("one", np.array([1], np.int64))
        second = self._constant("second", np.array(1, np.int64))
        known = self._node("ReduceSum", ["attention_mask", one], keepdims=0)
        before = self._node("Sub", [known, one])
        length = self._node("Gather", [self._node("Shape", ["attention_mask"]), second])
        lengths = [self._node("Cast", [item], to=TensorProto.INT32) for item in (before, length)]
        even = np.arange(0, config["head_dim"], 2, dtype=np.float64)
        rates = config["rope_parameters"]["rope_theta"] ** -(even / config["head_dim"])
        angles = np.outer(np.arange(config["max_position_embeddings"]), rates)
        table = {"cosines": np.cos(angles), "sines": np.sin(angles)}
        return [*lengths, *(self._constant(key, table[key].astype(np.float32)) for key in table)]

    def _embedded(self) -> str:
        rows = self._node("Gather", [self._weight("model.embed_tokens.weight"), "input_ids"])
        return self._node("Cast", [rows], to=TensorProto.FLOAT)

    def _logits(self, x: str) -> None:
        """Give the last token's logits alone: nobody reads those of a whole prompt."""
        ends = [self._constant(name, np.array([value], np.int64)) for name, value in (
            ("last", -1), ("end", np.iinfo(np.int64).max), ("axis", 1),
        )]  # fmt: skip
        head = (
            "model.embed_tokens.weight" if self._config["tie_word_embeddings"] else "lm_head.weight"
        )
        self._linear(self._node("Slice", [x, *ends]), head, "logits")

    def _norm(self, x: str, name: str) -> str:
        scale, epsilon = self._wide(name), self._config["rms_norm_eps"]
        return self._node("SimplifiedLayerNormalization", [x, scale], axis=-1, epsilon=epsilon)

    def _linear(self, x: str, name: str, output: str | None = None) -> str:
        # Not a transposed copy: that would be in memory beside the weight itself.
        fields = {"transB": 1, "domain": MICROSOFT}
        return self._node("FusedMatMul", [x, self._wide(name)], output, **fields)

    def _wide(self, name: str) -> str:
        """Give a weight in float32. onnxruntime does this once, when it loads the graph."""
        return self._node("Cast", [self._weight(name)], to=TensorProto.FLOAT)

    def _weight(self, name: str) -> str:
        """Refer to a weight in the publisher's file."""
        stated = self._header[name]
        start, end = stated["data_offsets"]
        tensor = TensorProto(name=name, data_type=TYPES[stated["dtype"]], dims=stated["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        place = {
            "location": WEIGHTS_NAME,
            "offset": self._data_offset + start,
            "length": end - start,
        }
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._constants[name] = tensor
        return name

    def _constant(self, name: str, value: Any) -> str:
        self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def _node(self, kind: str, inputs: list[str], output: str | None = None, **fields: Any) -> str:
        output = output or f"{kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], output, **fields))
        return output


def integers(name: str, length: str) -> onnx.ValueInfoProto:
    """Describe an input of whole numbers, one row for each sequence."""
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", length])


def floats(name: str, shape: list[Any]) -> onnx.ValueInfoProto:
    """Describe an input or output of numbers; a word in the shape is a free length."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def genai_config(config: dict[str, Any]) -> dict[str, Any]:
    """Say what onnxruntime-genai must know of the model; nothing of how tokens are chosen.

    Format: https://onnxruntime.ai/docs/genai/reference/config.html
    """
    return {
        "model": {
            "type": "llama",
            "vocab_size": config["vocab_size"],
            "context_length": config["max_position_embeddings"],
            "bos_token_id": config["bos_token_id"],
            "eos_token_id": config["eos_token_id"],
            "pad_token_id": config["pad_token_id"],
            "decoder": {
                "filename": GRAPH_NAME,
                "session_options": {"provider_options": []},
                "hidden_size": config["hidden_size"],
                "head_size": config["head_dim"],
                "num_attention_heads": config["num_attention_heads"],
                "num_key_value_heads": config["num_key_value_heads"],
                "num_hidden_layers": config["num_hidden_layers"],
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
        },
        "search": {"past_present_share_buffer": True},
    }


def write(target: Path, data: bytes) -> None:
    """Write a file; never half of it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.write_bytes(data)
    partial.replace(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
