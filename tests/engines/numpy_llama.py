"""A Llama in plain numpy: what every engine that runs the tiny Llama must agree with.

It follows the papers and transformers' definitions of the files (RMSNorm, rotary positions with
halves turned, SwiGLU, tied embeddings), in float32, one token at a time.
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mealkit.worker.generation.generator import Generator
from mealkit.worker.generation.stop_texts import Pieces
from mealkit.worker.generation_values import (
    ChatInput,
    CompletionInput,
    GenerationEvent,
    Message,
)
from mealkit.worker.interface import WorkerConfig


class NumpyLlama:
    """A ``TokenModel``."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._weights = tensors(folder / "model.safetensors")
        self._layers = config["num_hidden_layers"]
        self._heads = config["num_attention_heads"]
        self._epsilon = config["rms_norm_eps"]
        size = config["head_dim"]
        theta = config["rope_parameters"]["rope_theta"]
        self._frequencies = theta ** (-np.arange(0, size, 2, dtype=np.float64) / size)
        self.context_tokens = config["max_position_embeddings"]
        self.vocabulary_size = config["vocab_size"]
        self.end_ids = frozenset({config["eos_token_id"]})
        self.chat_template = (folder / "chat_template.jinja").read_text()
        self.special_tokens = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
        self._special = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._pieces = pieces(self._special, self.vocabulary_size)
        self._keys: list[list[np.ndarray]] = []
        self._values: list[list[np.ndarray]] = []

    def tokenize(self, text, *, rendered):
        return self._special.encode(text).ids

    def piece(self, token_id):
        return self._pieces[token_id]

    def begin(self, tokens):
        self._keys = [[] for _ in range(self._layers)]
        self._values = [[] for _ in range(self._layers)]
        for token in tokens[:-1]:
            self._step(token)
        return self.advance(tokens[-1])

    def advance(self, token_id):
        return self._weights["model.embed_tokens.weight"] @ self._step(token_id)

    def _step(self, token):
        hidden = self._weights["model.embed_tokens.weight"][token]
        for layer in range(self._layers):
            name = f"model.layers.{layer}"
            normed = self._norm(hidden, f"{name}.input_layernorm.weight")
            hidden = hidden + self._attention(normed, layer, f"{name}.self_attn")
            normed = self._norm(hidden, f"{name}.post_attention_layernorm.weight")
            gate = self._weights[f"{name}.mlp.gate_proj.weight"] @ normed
            up = self._weights[f"{name}.mlp.up_proj.weight"] @ normed
            swish = gate / (1 + np.exp(-gate))
            hidden = hidden + self._weights[f"{name}.mlp.down_proj.weight"] @ (swish * up)
        return self._norm(hidden, "model.norm.weight")

    def _attention(self, normed, layer, name):
        query, key, value = (
            (self._weights[f"{name}.{part}_proj.weight"] @ normed).reshape(self._heads, -1)
            for part in ("q", "k", "v")
        )
        position = len(self._keys[layer])
        self._keys[layer].append(self._turned(key, position))
        self._values[layer].append(value)
        keys, values = np.stack(self._keys[layer], 1), np.stack(self._values[layer], 1)
        scores = np.einsum("hd,htd->ht", self._turned(query, position), keys)
        weights = np.exp(scores / np.sqrt(np.float32(key.shape[1])))
        weights /= weights.sum(axis=1, keepdims=True)
        mixed = np.einsum("ht,htd->hd", weights, values).reshape(-1)
        return self._weights[f"{name}.o_proj.weight"] @ mixed

    def _turned(self, vectors, position):
        angles = position * self._frequencies
        sines, cosines = np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
        low, high = np.split(vectors, 2, axis=1)
        return np.concatenate((low * cosines - high * sines, high * cosines + low * sines), axis=1)

    def _norm(self, hidden, name):
        return self._weights[name] * (hidden / np.sqrt(np.mean(hidden**2) + self._epsilon))


@cache
def numpy_llama(folder: Path) -> NumpyLlama:
    """Return the oracle, in this process."""
    return NumpyLlama(folder)


def begun(folder: Path, question: str, system: str | None = None) -> np.ndarray:
    """Return the oracle's logits for the first token of an answer."""
    model = numpy_llama(folder)
    first = "" if system is None else f"<|im_start|>system\n{system}<|im_end|>\n"
    text = f"{first}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    return model.begin(model.tokenize(text, rendered=True))


@cache
def greedy(folder: Path, question: str, count: int, system: str | None = None) -> str:
    """Return what the oracle answers: argmax, token by token, without any of our own loop."""
    model, logits = numpy_llama(folder), begun(folder, question, system)
    found = b""
    for _ in range(count):
        token = int(logits.argmax())
        if token in model.end_ids:
            break
        found += model.piece(token)
        logits = model.advance(token)
    return Pieces([]).feed(found)


class NumpyWorker:
    """A ``GenerationWorker``; an engine's own one is not longer than this."""

    def load(self, config: WorkerConfig) -> None:
        self._generator = Generator(NumpyLlama(config.model_root), config)

    def chat(
        self, request: ChatInput, is_cancelled: Callable[[], bool]
    ) -> Iterator[GenerationEvent]:
        return self._generator.chat(request, is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: Callable[[], bool]
    ) -> Iterator[GenerationEvent]:
        return self._generator.complete(request, is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        return self._generator.tokenize(text)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        return self._generator.tokenize_chat(messages)


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file of fp16 numbers as float32."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    return {
        name: np.frombuffer(data[slice(*item["data_offsets"])], np.float16)
        .reshape(item["shape"])
        .astype(np.float32)
        for name, item in header.items()
        if name != "__metadata__"
    }


def pieces(tokenizer: Tokenizer, size: int) -> list[bytes]:
    """Return the bytes of every token of a byte-level BPE (GPT-2's table of characters)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    table = {chr(byte): byte for byte in shown} | {
        chr(256 + place): byte for place, byte in enumerate(hidden)
    }
    special = tokenizer.get_added_tokens_decoder()
    return [
        b"" if token in special else bytes(table[char] for char in tokenizer.id_to_token(token))
        for token in range(size)
    ]
