"""Cog projects, served by Cog's own server and as the kits that mealkit makes of them.

Both are asked the same. What differs is in ``DIFFERENCES``, each with its row in
``docs/how-to/move-from-cog.md``.
"""

import base64
import json
from dataclasses import dataclass

import pytest
from engines.conftest import installed_engine
from fakes import cog_features, cog_projects
from fakes.cog_projects import write_project
from fakes.cog_server import CogServer
from runtime.conftest import LIBRARY

from mealkit.engines.registry import recipe_of
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.importing import import_kit
from mealkit.recipe.kit import Task

pytestmark = pytest.mark.xdist_group("beside-cog")
PROJECTS = {**vars(cog_projects), **vars(cog_features)}


@dataclass
class Pair:
    """A project, served by Cog and by mealkit."""

    cog: CogServer
    kit: object

    def answers(self, values):
        return answer_of_cog(self.cog, values), answer_of_kit(self.kit, values)


def answer_of_cog(server, values):
    """Return (kind, output or fields)."""
    status, body = server.predict(**values)
    if status == 422:
        return "refused", sorted({item["loc"][2].partition("/")[0] for item in body["detail"]})
    assert status == 200, body
    if body["status"] == "succeeded":
        return "answer", body["output"]
    return "failed", body["error"]


def answer_of_kit(kit, values):
    answer = kit.post("/v1/predict", input=values)
    if answer.status_code == 200:
        return "answer", answer.json()["output"]
    error = answer.json()["error"]
    if answer.status_code == 400:
        return (
            "refused",
            [(error["where"] or "").removeprefix("input").lstrip(".").partition("[")[0]],
            error["message"],
        )
    return "failed", error["message"]


@pytest.fixture(scope="module")
def serve_beside(tmp_path_factory, make_shared_lock, start_shared):
    """Serve a project of ``PROJECTS`` by its name twice, once for all tests of this module."""
    pairs = {}
    cog = installed_engine("cog")
    pillow = installed_engine("clients")

    def begin(name):
        folder = tmp_path_factory.mktemp(name.lower())
        project = write_project(folder / "project", PROJECTS[name])
        more = [pillow] if name == "BLUR" else []
        server = CogServer(write_project(folder / "cog", PROJECTS[name]), [cog, *more])
        home = home_at(folder / "home")
        made = import_kit(folder / "soup", "cog", str(project), engine=None, home=home)
        loaded = load_kit(made.path, allowed=[project])
        parts = check_engine_parts(loaded)
        assert parts.problems == ()
        recipe = recipe_of("python")
        serving = loaded.kit.serving.model_dump() | {"lame_duck_seconds": 0}
        lock = make_shared_lock(
            serving=serving,
            settings=parts.settings,
            worker=recipe.worker,
            hyperparameters=parts.hyperparameters,
            weights={},
            task=Task.PREDICTION,
            engine="python",
            environment=recipe.environment,
        )

        def place(root):
            for path, text in loaded.code.items():
                target = root / "etc" / "code" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            for source in loaded.kit.model.weights:
                for path in source.files:
                    target = root / "models" / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes((project / path).read_bytes())

        paths = [str(path) for path in (LIBRARY, *more)]
        environment = {"MEALKIT_ENGINE_PATH": ":".join(paths)}
        return Pair(server, start_shared(lock, change=place, environment=environment))

    def find(name):
        if name not in pairs:
            pairs[name] = begin(name)
            pairs[name].kit.wait_ready()
            pairs[name].cog.wait_for("READY")
        return pairs[name]

    yield find
    for pair in pairs.values():
        pair.cog.__exit__()


import re


def d(x):
    return "data:image/png;base64," + base64.b64encode(x).decode()


EXPLORE = [
    *[
        ("INPUTS", v)
        for v in (
            {},
            {"text": "a"},
            {"text": "a", "flag": 1},
            {"text": 1},
            {"text": "a", "loud": "true"},
            {"text": "a", "loud": 1},
            {"text": "a", "ratio": 1},
            {"text": "a", "size": 3},
            {"text": "a", "size": 4},
            {"text": "a", "size": "4"},
            {"text": "a", "word": "abcd"},
            {"text": "a", "word": "äöü"},
            {"text": "a", "code": "A"},
            {"text": "a", "code": "1a"},
            {"text": "a", "words": ["x", 1]},
            {"text": "a", "words": []},
            {"text": "a", "words": "x"},
            {"text": "a", "numbers": [-1]},
            {
                "text": "a",
                "note": "n",
                "other": "o",
                "either": "e",
                "table": {"a": 1},
                "maybe": [1],
                "token": "t",
                "picture": d(b"p"),
            },
            {"text": "a", "note": None},
            {"text": "a", "either": 1.5},
            {"text": "a", "maybe": None},
            {"text": "a", "count": 3.0},
            {"text": "a", "count": 10**30},
            {"text": "a", "picture": "https://127.0.0.1:1/x.png"},
            {"text": "a", "picture": "/etc/passwd"},
            {"text": "\U0001f372\0"},
        )
    ],
    *[
        ("OUTPUTS", {"case": c})
        for c in re.findall(r'^    "([\w ]+)": ', PROJECTS["OUTPUTS"]["predict.py"], re.M)
    ],
    *[
        ("RECORD", {"case": c})
        for c in "plain positional wrong dict more less changed shown files none".split()
    ],
    *[("STREAMED", v) for v in ({}, {"fail": 1})],
    *[
        ("FAULTS", {"case": c})
        for c in ("value", "runtime", "library", "exit", "interrupt", "another type", "x")
    ],
    *[
        ("GREETING", v)
        for v in (
            {"name": "Ada"},
            {"name": "Ada", "seed": 7},
            {"name": "Ada", "style": "loud", "times": 2, "seed": 7, "sign": "B"},
            {"name": "Ada", "seed": 1, "sign": None},
        )
    ],
    ("PIECES", {"text": "ab"}),
    ("LATER", {"text": "ab"}),
    ("LATER", {}),
    ("OPEN_FILE", {"text": "soup"}),
    ("WEIGHTED", {"text": "salt and pepper"}),
    ("FILES", {"picture": d(b"abc"), "table": d(b"soup"), "token": "hush", "more": [d(b"x")]}),
]


def test_explore(serve_beside):
    broken = set()
    for name, values in EXPLORE:
        if name in broken:
            continue
        try:
            cog, kit = serve_beside(name).answers(values)
        except Exception as e:
            pairs = serve_beside.__closure__
            print(
                "BROKEN",
                name,
                str(e)[-300:],
                [
                    line
                    for cell in pairs
                    if isinstance(cell.cell_contents, dict) and name in cell.cell_contents
                    for line in cell.cell_contents[name].kit.raw[-3:]
                ],
            )
            broken.add(name)
            continue
        print(
            "SAME" if cog == kit[:2] else "DIFF",
            name,
            values,
            str(cog)[:300],
            "" if cog == kit[:2] else str(kit)[:300],
            sep=" | ",
        )
