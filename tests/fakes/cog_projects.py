"""Cog projects as people write them: cog.yaml, a predictor, and what lies beside it."""

from pathlib import Path

from fakes.little import safetensors

GREETING = {
    "cog.yaml": """\
build:
  python_version: "3.13"
predict: "predict.py:Predictor"
""",
    "predict.py": '''\
from typing import Optional

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self):
        """Load the model into memory"""
        self.greeting = "hello"

    def predict(
        self,
        name: str = Input(description="Whom to greet", min_length=1, regex="^[A-Za-z ]+$"),
        style: str = Input(description="How", choices=["plain", "loud"], default="plain"),
        times: int = Input(ge=1, le=3, default=1),
        scale: float = Input(default=1.5),
        sign: Optional[str] = Input(default=None),
        seed: int = Input(description="Leave blank to randomize", default=None),
    ) -> str:
        """Greet somebody.

        More than once, if asked.
        """
        text = " ".join([f"{self.greeting} {name}"] * times)
        if seed is not None:
            text += f" #{seed}"
        if sign:
            text += f" ({sign})"
        return text.upper() if style == "loud" else text
''',
}

# What a project has that a kit does otherwise: nearly everything in cog.yaml, and more.
LADEN = {
    "cog.yaml": """\
image: "r8.example.invalid/kitchen/laden:latest"
build:
  gpu: true
  cuda: "12.1"
  python_version: "3.10"
  python_requirements: requirements.txt
  system_packages:
    - "libgl1"
    - "ffmpeg"
    - "libsm6=2:1.2"
  run:
    - "pip install git+https://example.invalid/soup.git"
    - command: pip install secret-sauce
      mounts:
        - {type: secret, id: token, target: /run/token}
  pre_install: ["echo begin"]
environment:
  - "HF_HOME=/src/cache"
  - "TOKEN"
concurrency:
  max: 4
  default_target: 2
predict: "src/predict.py:Predictor"
train: "src/train.py:train"
weights:
  - name: base
    target: /src/weights
tests: [{command: cog predict}]
surprise: 1
""",
    "requirements.txt": """\
# The model
--extra-index-url https://wheels.example.invalid/cu121
torch==2.4.0 \\
    --hash=sha256:0000
-r more/requirements.txt
soup @ git+https://example.invalid/soup.git@abc
./local/wheel.whl
cog==0.9.0
""",
    "more/requirements.txt": "numpy>=1.26,<3  # arrays\n-r ../missing.txt\n",
    "src/predict.py": """\
import subprocess

import cog
import torch
from cog import BasePredictor, Input, Path, current_scope
from cog.server.scope import emit_metric
from transformers import AutoModel


class Predictor(BasePredictor):
    def setup(self, weights=None):
        subprocess.check_call(["pget", "https://example.invalid/w.tar", "weights"])
        self.model = AutoModel.from_pretrained("kitchen/soup", cache_dir="cache")
        self.local = AutoModel.from_pretrained("./weights")
        torch.hub.load_state_dict_from_url("https://example.invalid/w.pth")

    def predict(self, image: Path = Input(description="A picture")) -> cog.ConcatenateIterator[str]:
        yield "soup"
""",
    "src/train.py": "def train():\n    pass\n",
    "README.md": "# Laden\n",
}


def write_project(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write a project's files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# Weights and a table of words beside the predictor, which it opens by their relative paths.
WEIGHTED: dict[str, str | bytes] = {
    "cog.yaml": "build: {python_version: '3.13'}\npredict: predict.py:Predictor\n",
    "predict.py": """\
import json
import os
from pathlib import Path as LocalPath

from cog import BasePredictor, Input
from lib.count import count


class Predictor(BasePredictor):
    def setup(self):
        with open("weights/model.safetensors", "rb") as file:
            self.size = len(file.read())
        self.words = json.load(open("words.json"))
        assert (LocalPath(__file__).parent / "words.json").is_file()

    def predict(self, text: str = Input(default="")) -> list[int]:
        return [self.size, count(text, self.words), len(os.environ["KITCHEN"])]
""",
    "lib/count.py": "def count(text, words):\n    return sum(word in words for word in text.split())\n",
    "words.json": '["salt", "pepper"]',
    "weights/model.safetensors": safetensors(1000),
    "weights/old.pth": b"\x80\x02pickle",
    "picture.png": b"\x89PNG\r\n\x00\xff",
    ".git/config": "[core]\n",
}
WEIGHTED["cog.yaml"] = str(WEIGHTED["cog.yaml"]) + 'environment: ["KITCHEN=open"]\n'

FILES = {
    "cog.yaml": "predict: predict.py:Predictor\n",
    "predict.py": """\
import io
import shutil
import tempfile
from typing import Any, List

from cog import BaseModel, BasePredictor, File, Input, Path, Secret


class Output(BaseModel):
    text: str
    picture: Path
    others: List[Path]


class Predictor(BasePredictor):
    def predict(
        self,
        picture: Path = Input(description="A picture"),
        table: File = Input(description="A table"),
        token: Secret = Input(default=Secret("none")),
        more: List[Path] = Input(default=[]),
    ) -> Output:
        assert token.get_secret_value() != str(token)
        path = Path(tempfile.mkdtemp()) / "out.png"
        path.write_bytes(picture.read_bytes()[::-1])
        text = table.read().decode() + token.get_secret_value()
        # Cog may delete the files of a request before it reads those of the answer.
        others = [shutil.copy(item, path.parent / item.name) for item in more]
        return Output(text=text, picture=path, others=others)
""",
}

OPEN_FILE = {
    "cog.yaml": "predict: predict.py\n",
    "predict.py": """\
import io

from cog import BasePredictor, File


class Predictor(BasePredictor):
    def predict(self, text: str) -> File:
        return File(io.StringIO(text))
""",
}

PIECES = {
    "cog.yaml": "predict: predict.py:Predictor\n",
    "predict.py": """\
from cog import BasePredictor, ConcatenateIterator


def counted(method):
    def call(*values, **named):
        return method(*values, **named)

    return call


class Predictor(BasePredictor):
    @counted
    def predict(self, text: str) -> ConcatenateIterator[str]:
        yield from text
""",
}

LATER = {
    "cog.yaml": "run: run.py:Runner\nconcurrency: {max: 3}\n",
    "run.py": """\
import asyncio

from cog import AsyncConcatenateIterator, BaseRunner


class Runner(BaseRunner):
    async def setup(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.inside = self.most = 0

    async def run(self, text: str = "abc", together: int = 1) -> AsyncConcatenateIterator[str]:
        assert asyncio.get_running_loop() is self.loop
        self.inside += 1
        while (most := max(self.most, self.inside)) < together:
            await asyncio.sleep(0.01)
        self.most = most
        for letter in text:
            await asyncio.sleep(0)
            yield letter
        self.inside -= 1
""",
}

# A picture blurred with a package: what Cog's own first example does.
BLUR = {
    "cog.yaml": """\
build:
  python_version: "3.13"
  python_packages:
    - "pillow>=11"
  system_packages:
    - "libsm6"
predict: "predict.py:Predictor"
""",
    "predict.py": """\
import tempfile

from cog import BasePredictor, Input, Path
from PIL import Image, ImageFilter


class Predictor(BasePredictor):
    def predict(
        self,
        image: Path = Input(description="Input image"),
        blur: float = Input(description="Blur radius", default=5, ge=0, le=50),
    ) -> Path:
        \"\"\"Blur a picture.\"\"\"
        if blur == 0:
            return image
        im = Image.open(str(image))
        im = im.filter(ImageFilter.BoxBlur(blur))
        out_path = Path(tempfile.mkdtemp()) / "out.png"
        im.save(str(out_path))
        return out_path
""",
}
