"""Predictors of Cog projects answer as before, unchanged, through the kit that mealkit proposes.

``tests/runtime/test_beside_cog.py`` compares more of them with Cog itself.
"""

import base64

import pytest
import yaml
from fakes.cog_projects import (
    FILES,
    GREETING,
    write_project,
)

from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.importing import import_kit


@pytest.fixture
def begin(tmp_path, start_host):
    """Make a kit of a project, check it, and start its worker as the container would."""

    def start(files):
        project = write_project(tmp_path / "project", files)
        home = home_at(tmp_path / "home")
        made = import_kit(tmp_path / "soup", "cog", str(project), engine=None, home=home)
        loaded = load_kit(made.path, allowed=[project])
        parts = check_engine_parts(loaded)
        assert parts.problems == ()
        models = tmp_path / "models"
        models.mkdir()
        for weights in yaml.safe_load(made.path.read_text())["model"]["weights"]:
            for name in weights["files"]:
                (models / name).parent.mkdir(parents=True, exist_ok=True)
                (models / name).write_bytes((project / name).read_bytes())
        code = tmp_path / "code"
        for name, text in loaded.code.items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_text(text)
        return start_host(
            "mealkit.engines.python.worker:PythonWorker",
            task="prediction",
            model_root=str(models),
            hyperparameters=parts.hyperparameters,
            settings=parts.settings,
        ).wait_until_ready()

    return start


def predict(host, stream=False, **values):
    body = {"model": "m", "input": values, "seed": 0, "stream": stream}
    return host.request("POST", "/v1/predict", body)


def output(host, **values):
    reply = predict(host, **values)
    assert reply.status == 200, reply.body
    return reply.json["output"]


def test_inputs_keep_their_defaults_and_bounds(begin):
    """As Input says them: optional ones, choices, patterns and limits."""
    host = begin(GREETING)
    assert output(host, name="Ada") == "hello Ada"
    found = output(host, name="Ada", style="loud", times=2, seed=7, sign="B")
    assert found == "HELLO ADA HELLO ADA #7 (B)"
    assert output(host, name="Ada", seed=None, sign=None) == "hello Ada"
    for values, where in (
        ({}, "input.name"),
        ({"name": "7"}, "input.name"),
        ({"name": ""}, "input.name"),
        ({"name": "Ada", "style": "shy"}, "input.style"),
        ({"name": "Ada", "times": 4}, "input.times"),
        ({"name": "Ada", "scale": "x"}, "input.scale"),
        ({"name": "Ada", "tone": "x"}, "input.tone"),
    ):
        reply = predict(host, **values)
        assert (reply.status, reply.error["where"]) == (400, where)
    fields = host.request("GET", "/schema").json["input"]["properties"]
    assert fields["style"]["enum"] == ["plain", "loud"]
    assert fields["name"]["description"] == "Whom to greet"


def b64(data):
    return base64.b64encode(data).decode()


def test_a_module_may_open_files_while_it_is_imported(begin):
    """Code and pinned files lie in the folder where the predictor is imported."""
    predictor = """\
from pathlib import Path

from cog import BasePredictor

import words

FONT = open("font.ttf", "rb").read()
SAME = (Path(__file__).parent / "font.ttf").read_bytes()


class Predictor(BasePredictor):
    def predict(self) -> str:
        return f"{words.WORDS} {len(FONT)} {SAME == FONT}"
"""
    files = {
        "cog.yaml": "predict: predict.py:Predictor\n",
        "predict.py": predictor,
        "words.py": "WORDS = open('words.txt').read()\n",
        "words.txt": "soup",
        "font.ttf": b"\0\1\0\0" + bytes(60),
    }
    assert output(begin(files)) == "soup 64 True"


def test_files_and_secrets(begin):
    """Path and File in, an output of several values with files in it."""
    host = begin(FILES)
    found = output(host, picture=b64(b"abc"), table=b64(b"soup"), token="hush", more=[b64(b"x")])
    assert found == {
        "text": "souphush",
        "picture": f"data:image/png;base64,{b64(b'cba')}",
        "others": [f"data:application/octet-stream;base64,{b64(b'x')}"],
    }
    assert output(host, picture="", table="")["text"] == "none"


def test_an_error_names_the_predictors_line(begin):
    """Not the line of what mealkit wrote around it."""
    broken = {**GREETING, "predict.py": GREETING["predict.py"].replace("text +=", "text -=")}
    reply = predict(begin(broken), name="Ada", seed=1)
    line = broken["predict.py"].splitlines().index('            text -= f" #{seed}"') + 1
    assert (reply.status, reply.error["where"]) == (500, f"predict.py:{line}")
