"""Valid inputs of every parser, small enough to be changed in thousands of ways."""

import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from fakes.graphs import graph_with_data, graph_with_data_inside
from fakes.little import little_base, little_form, safetensors
from fakes.wheels import write_wheel
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE

from mealkit.oci.image import Image

KITS = Path(__file__).parents[2] / "kits"
LOCKS = [path.read_bytes() for path in sorted(KITS.glob("*/kit.lock"))]
KIT_TEXTS = [path.read_bytes() for path in sorted(KITS.glob("*/kit.yaml"))]
LITTLE_KIT = json.dumps(little_form()).encode()
SAFETENSORS = [safetensors(4), safetensors(0)]
_FILE_SCHEMA = {"type": "string", "format": "data-url"}
FORM_SCHEMA = {
    "$defs": {"File": _FILE_SCHEMA},
    "properties": {
        "image": {"anyOf": [{"$ref": "#/$defs/File"}, {"type": "null"}]},
        "top": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "options": {"type": "object"},
    },
}
FORMS = [
    (
        b'multipart/form-data; boundary="x y"\n--x y\r\n'
        b'Content-Disposition: form-data; name="image"; filename="a\\"b.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--x y\r\n"
        b"Content-Disposition: form-data; name=top\r\n\r\n-1.5e3\r\n--x y\r\n"
        b'Content-Disposition: form-data; name="tags"\r\n\r\na\r\n--x y\r\n'
        b'Content-Disposition: form-data; name="tags"\r\n\r\nb\r\n--x y\r\n'
        b'Content-Disposition: form-data; name="options"\r\nContent-Type: application/json\r\n\r\n'
        b'{"a": [1]}\r\n--x y--\r\n'
    ),
    (
        b"multipart/form-data; boundary=b\nbefore\r\n--b \t\r\n"
        b'content-disposition: form-data; name="seed"\r\n\r\n7\r\n--b--after'
    ),
]
ACCEPTS = [b"image/png, image/*;q=0.5, */*; q=0.1", b'application/octet-stream;x="a";q=1']
CONFIGS = [
    (KITS / "tiny-llama" / "config.json").read_bytes(),
    json.dumps(
        {
            "architectures": ["Qwen3MoeForCausalLM"],
            "num_hidden_layers": 4,
            "hidden_size": 64,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "sliding_window": 128,
            "layer_types": ["full_attention", "sliding_attention"] * 2,
            "quantization_config": {"quant_method": "gptq", "bits": 4},
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
        }
    ).encode(),
]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _gguf() -> bytes:
    entries = {
        "general.architecture": struct.pack("<I", 8) + _text("llama"),
        "llama.block_count": struct.pack("<II", 4, 2),
        "llama.embedding_length": struct.pack("<II", 4, 64),
        "llama.attention.head_count": struct.pack("<II", 4, 8),
        "llama.attention.head_count_kv": struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 2, 4),
        "llama.context_length": struct.pack("<II", 4, 4096),
        "tokenizer.ggml.tokens": struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b"),
        "llama.rope.freq_base": struct.pack("<If", 6, 10000.0),
    }
    out = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries))
    out += b"".join(_text(key) + value for key, value in entries.items())
    out += _text("w") + struct.pack("<IQQIQ", 2, 64, 4, 8, 0)
    return out + bytes(-len(out) % 32) + bytes(272)


GGUF = [_gguf()]
ONNX = [graph_with_data("w", values=1)[-600:], graph_with_data_inside("a.data", "b.data")]


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.zeros(3), b=np.array([{}], dtype=object))
    return stream.getvalue()


PICKLES = [
    *(pickle.dumps({"w": [1.0, 2, "x"], "t": (b"y", None)}, protocol=n) for n in range(6)),
    b"cbuiltins\nprint\n(S'run'\ntR.",
]
ARCHIVES = [_npz()]


def _tar(*members: tuple[str, bytes | str | None]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    return stream.getvalue()


LAYERS = [
    _tar(("etc", None), ("etc/os-release", b"ID=little\n"), ("bin", "usr/bin")),
    _tar(("usr/lib/" + "x" * 120, b"long"), ("usr/lib/.wh.old", b""), ("größe", b"x")),
]
_INNER = _tar(("a.npz", _npz()), ("b", PICKLES[4]), ("c", b"(" * 600))
PACKED = [_INNER, gzip.compress(_INNER, mtime=0), lzma.compress(gzip.compress(_INNER, mtime=0))]
GZIP_LAYERS = [gzip.compress(item, mtime=0) for item in LAYERS]


def _deb() -> bytes:
    control = "Package: soup\nVersion: 1.0-1\nArchitecture: amd64\nDescription: a soup\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": lzma.compress(_tar(("./control", control.encode()))),
        "data.tar.xz": lzma.compress(_tar(("./usr", None), ("./usr/soup", b"hot"))),
    }
    out = b"!<arch>\n"
    for name, data in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


DEBS = [_deb()]
DIGITS = "0" * 64
PARAGRAPHS = [
    f"""Package: soup
Version: 1:2.0-1
Architecture: amd64
Depends: libc6 (>= 2.36), a | b
Provides: meal (= 1)
Filename: pool/s/soup.deb
Size: 10
SHA256: {DIGITS}
Description: hot
 and wet

Package: bread
Version: 1
Architecture: all
Filename: pool/b/bread.deb
Size: 5
SHA256: {DIGITS}

""".encode()
]
RELEASES = [
    f"Suite: stable\nCodename: trixie\nValid-Until: Sat, 01 Jan 2050 00:00:00 UTC\n"
    f"Acquire-By-Hash: yes\nSHA256:\n {DIGITS} 100 main/binary-amd64/Packages.xz\n".encode()
]


def _wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        files = {"soup/__init__.py": b"x = 1\n", "soup-1.0.data/scripts/soup": b"#!python\n"}
        return write_wheel(Path(folder), "soup", files).read_bytes()


WHEELS = [_wheel()]
IMAGE: Image = little_base()


def _index() -> bytes:
    platform = {"os": "linux", "architecture": "amd64"}
    annotations = {"org.opencontainers.image.ref.name": "soup:1"}
    form = {**IMAGE.descriptor.as_json(), "platform": platform, "annotations": annotations}
    return json.dumps({"schemaVersion": 2, "manifests": [form]}).encode()


INDEXES = [_index()]
MODELFILES = [
    b"""FROM ./model.gguf
PARAMETER temperature 0.7
PARAMETER stop "<|end|>"
TEMPLATE \"\"\"{{ .System }}
{{ .Prompt }}\"\"\"
SYSTEM You are a cook.
LICENSE MIT
"""
]
CARDS = [
    b"---\nlicense: mit\npipeline_tag: text-generation\ntags: [a, b]\nbase_model: a/b\n---\n# Soup\n"
]


def _hub() -> bytes:
    lfs: dict[str, Any] = {"sha256": DIGITS, "size": 4, "pointerSize": 135}
    siblings = [
        {"rfilename": "config.json", "size": 2, "blobId": "0" * 40},
        {"rfilename": "model.safetensors", "size": 4, "blobId": "0" * 40, "lfs": lfs},
    ]
    form = {"id": "a/b", "sha": "0" * 40, "siblings": siblings, "pipeline_tag": "text-generation"}
    return json.dumps(form).encode()


HUB = [_hub()]
CHALLENGES = [
    b'Bearer realm="https://auth.example.invalid/token",service="r",scope="repository:a:pull"',
    b'Basic realm="a, b", Bearer realm=x',
]
REFERENCES = [
    b"registry.example.invalid:5000/team/soup:1.0",
    b"soup@sha256:" + DIGITS.encode(),
    b"localhost/soup",
]
REQUESTS = [
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nT: x\r\n\r\n",
]
CALLS = [
    b'Well. <tool_call>\n{"name": "cook", "arguments": {"dish": "soup", "n": [1, 2.5]}}\n</tool_call>',
    b'<tool_call>{"name": "cook", "arguments": {}}',
    b"no call at all <tool",
]
LOGS = [
    b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 23 GiB\n",
    b"RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
    b"ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
    b"ggml_backend_amx\nIllegal instruction (core dumped)\n",
]
HANDLERS = [
    b"""class Handler:
    def load(self, models, *, seed): ...
    async def predict(self, text: str, *, top: int = 1) -> str:
        return f'{text}'
"""
]
PROBLEMS = [b'{"code": "ENGINE_START", "message": "it did not start", "owner": "kit-author"}']
OBJECTS = [b'{"model": "soup", "input": ["a", "b"], "n": 1.5, "x": null, "y": [true]}']


def _tokenizer() -> bytes:
    model = BPE({"a": 0, "b": 1, "ab": 2, "</s>": 3}, [("a", "b")])
    tokenizer = Tokenizer(model)
    tokenizer.decoder = ByteLevel()
    tokenizer.add_special_tokens(["</s>"])
    return str(tokenizer.to_str()).encode()


TOKENIZERS = [_tokenizer()]
