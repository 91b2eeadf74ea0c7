"""Kits that are made up: random bytes in valid safetensors files, and a kit file around them."""

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 4 * 1024 * 1024

_KIT = """\
apiVersion: mealkit/v1
name: {name}
version: 1.0.0
license: Apache-2.0
owner: {{team: Benchmarks, contact: "https://mealkit.dev/benchmarks", support: "For measuring."}}
model:
  name: random
  license: Apache-2.0
  weights:
    - {{source: folder, path: ../context/weights, files: ["*.safetensors"]}}
prompts: {{query: {{file: prompts/query.jinja, variables: [text]}}}}
hyperparameters: {{pooling: mean, max_length: 256, normalize: true}}
runtime:
  engine: onnx
  base: {{source: debian, suite: trixie}}
  python: "3.13"
hardware: {{gpu: none, memory: 1GiB, disk: auto}}
serving: {{max_concurrency: 64}}
"""

_DOCKERFILE = """\
FROM scratch
COPY weights /models/
COPY {prompt} /etc/prompts/
"""


@dataclass(frozen=True, slots=True)
class SyntheticKit:
    """A kit, and beside it a context that ``docker build`` makes the same weights' image of."""

    root: Path
    name: str
    size_bytes: int

    @property
    def folder(self) -> Path:
        """The kit's folder."""
        return self.root / "kit"

    @property
    def context(self) -> Path:
        """The context of ``docker build``: a Dockerfile that copies, the weights, a prompt."""
        return self.root / "context"

    @property
    def weights(self) -> list[Path]:
        """The weight files."""
        return sorted((self.context / "weights").iterdir())

    @property
    def lock(self) -> Path:
        """The kit's lock."""
        return self.folder / "kit.lock"

    @property
    def tag(self) -> str:
        """What the image is called, in mealkit's store and once loaded into Docker."""
        return f"{self.name}:1.0.0"

    def edit_prompt(self, text: str) -> None:
        """Change the prompt, in the kit and in the context."""
        (self.folder / "prompts/query.jinja").write_text(f"{text}: {{{{ text }}}}\n")
        (self.context / f"{self.name}.txt").write_text(f"{text}\n")


def make_kit(root: Path, name: str, size_bytes: int, files: int) -> SyntheticKit:
    """Write a kit with ``files`` files of random weights, ``size_bytes`` together."""
    kit = SyntheticKit(root, name, size_bytes)
    (kit.folder / "prompts").mkdir(parents=True)
    (kit.context / "weights").mkdir(parents=True)
    (kit.folder / "kit.yaml").write_text(_KIT.format(name=name))
    (kit.context / "Dockerfile").write_text(_DOCKERFILE.format(prompt=f"{name}.txt"))
    kit.edit_prompt("first")
    for number in range(files):
        path = kit.context / f"weights/model-{number + 1:05d}-of-{files:05d}.safetensors"
        write_safetensors(path, size_bytes // files)
    return kit


def write_safetensors(path: Path, size_bytes: int) -> None:
    """Write one tensor of random bytes. Format: https://huggingface.co/docs/safetensors."""
    tensor = {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}
    header = json.dumps({path.stem: tensor}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for start in range(0, size_bytes, _CHUNK_BYTES):
            out.write(os.urandom(min(_CHUNK_BYTES, size_bytes - start)))
        out.flush()
        os.fsync(out.fileno())  # or the first contender would be measured while the disk writes
