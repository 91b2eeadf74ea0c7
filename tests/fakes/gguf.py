"""all-MiniLM-L6-v2 as a GGUF, made in a second: llama.cpp's own converter takes torch to do the same.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Names of tensors and keys as in
llama.cpp's gguf-py (MODEL_ARCH.BERT).
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_FLOATS = {np.dtype("float32"): 0, np.dtype("float16"): 1}
_ALIGNMENT = 32
_NORMAL, _CONTROL = 1, 3
_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_EMBEDDINGS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}


def write_minilm(source: Path, target: Path) -> None:
    """Write the model of a folder in the Hub's form as a GGUF in half precision."""
    config = json.loads((source / "config.json").read_text())
    tensors = {}
    for name, values in _safetensors(source / "model.safetensors").items():
        renamed = _renamed(name)
        if renamed:
            wide = values.ndim == 2 and not renamed.startswith(("position_embd", "token_types"))
            tensors[renamed] = values.astype(np.float16 if wide else np.float32)
    write_gguf(target, {**_shape(config), **_vocabulary(source)}, tensors)


def write_gguf(target: Path, keys: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a GGUF, version 3."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    head += b"".join(_string(name) + _value(value) for name, value in keys.items())
    offset, data = 0, []
    for name, values in tensors.items():
        sizes = values.shape[::-1]
        head += _string(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        head += struct.pack("<IQ", _FLOATS[values.dtype], offset)
        data.append(_padded(values.tobytes()))
        offset += len(data[-1])
    target.write_bytes(b"".join([_padded(head), *data]))


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "general.architecture": "bert",
        "bert.block_count": config["num_hidden_layers"],
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": config["layer_norm_eps"],
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
    }


def _vocabulary(source: Path) -> dict[str, Any]:
    words = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    ordered = sorted(words, key=words.__getitem__)
    special = [word.startswith("[") and word.endswith("]") and len(word) > 2 for word in ordered]
    # llama.cpp marks where a word begins, WordPiece where it goes on.
    tokens = [
        word if control else word[2:] if word.startswith("##") else f"\u2581{word}"
        for word, control in zip(ordered, special, strict=True)
    ]
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_CONTROL if control else _NORMAL for control in special],
        "tokenizer.ggml.bos_token_id": words["[CLS]"],
        "tokenizer.ggml.seperator_token_id": words["[SEP]"],
        "tokenizer.ggml.unknown_token_id": words["[UNK]"],
        "tokenizer.ggml.padding_token_id": words["[PAD]"],
        "tokenizer.ggml.mask_token_id": words["[MASK]"],
    }


def _renamed(name: str) -> str | None:
    stem, _, kind = name.rpartition(".")
    if stem in _EMBEDDINGS:
        return f"{_EMBEDDINGS[stem]}.{kind}"
    if stem.startswith("encoder.layer."):
        _, _, number, part = stem.split(".", 3)
        return f"blk.{number}.{_PARTS[part]}.{kind}"
    return None


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        if entry["dtype"] == "F32":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[start:end], dtype="<f4")
            found[name] = values.reshape(entry["shape"])
    return found


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _U32, value)
        case float():
            return struct.pack("<If", _F32, value)
        case str():
            return struct.pack("<I", _STRING) + _string(value)
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(value)}i", _ARRAY, _I32, len(value), *value)
        case _:
            head = struct.pack("<IIQ", _ARRAY, _STRING, len(value))
            return head + b"".join(map(_string, value))


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
