"""Kits on disk, valid until a test spoils them."""

from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = """\
apiVersion: mealkit/v1
name: tiny
version: "1.0"
license: Apache-2.0
paper: {title: A paper, arxiv: "1908.10084"}
owner:
  team: kitchen
  contact: mailto:kitchen@example.org
  support: On working days.
model:
  name: tiny-model
  license: MIT
  task: embeddings
  weights:
    - source: hub
      repo: someone/tiny
      revision: main
      files: [model.safetensors]
      mirrors:
        - {source: wheel, package: tiny, version: "1", prefix: tiny/model}
    - source: folder
      path: graph
      files: [model.onnx]
prompts:
  query: {file: prompts/query.jinja}
hyperparameters:
  pooling: mean
  max_length: 256
  normalize: true
runtime:
  engine: onnx
  settings: {threads: 2}
  base: {source: debian, suite: trixie}
  python: "3.13"
  requirements: [numpy<3]
hardware:
  gpu: none
  memory: 2GiB
serving:
  port: 8000
"""

WriteKit = Callable[[str], Path]


@pytest.fixture
def good() -> str:
    """The text of a kit that holds."""
    return GOOD


@pytest.fixture
def write_kit(tmp_path: Path) -> WriteKit:
    """Write a kit.yaml with its prompt; return its folder."""

    def write(text: str) -> Path:
        folder = tmp_path / "tiny"
        (folder / "prompts").mkdir(parents=True, exist_ok=True)
        (folder / "prompts" / "query.jinja").write_text("query: {{ text }}\n")
        (folder / "kit.yaml").write_text(text)
        return folder

    return write
