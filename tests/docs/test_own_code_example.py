"""The handler in docs/how-to/run-your-own-code.md answers what the page says it does."""

import json
import re
import shlex
from pathlib import Path

import yaml

from mealkit.engines.python.engine import PredictionHyperparameters, PythonSettings
from mealkit.engines.python.worker import PythonWorker
from mealkit.worker.interface import WorkerConfig

PAGE = (Path(__file__).parents[2] / "docs/how-to/run-your-own-code.md").read_text()


def block(language, number=0):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def test_the_example_answers_as_the_page_says(tmp_path, monkeypatch):
    """With the kit's own settings and parameters, to the body of the page's command."""
    monkeypatch.syspath_prepend(str(tmp_path))
    kit = yaml.safe_load(block("yaml"))
    settings = PythonSettings.model_validate(kit["runtime"]["settings"])
    chosen = PredictionHyperparameters.model_validate(kit["hyperparameters"])
    (tmp_path / "handler.py").write_text(block("python"))
    (tmp_path / "words.txt").write_text("salt pepper")
    config = WorkerConfig(
        model_name="my-kit",
        model_root=tmp_path,
        task=kit["model"]["task"],
        hyperparameters=chosen.model_dump(mode="json"),
        settings=settings.model_dump(mode="json"),
        code_root=tmp_path,
    )
    asked, answered = re.search(r"\$ (curl .*?)\n(\{.*?)\n", PAGE, re.DOTALL).groups()
    body = json.loads(shlex.split(asked.replace("\\\n", ""))[-1])
    worker = PythonWorker()
    worker.load(config)
    assert (
        worker.predict(body["input"], chosen.seed, lambda: False) == json.loads(answered)["output"]
    )


def test_every_setting_of_the_page_is_one():
    """The names in the text are those of the recipe."""
    for name in ("fetch_from", "fetch_private", "fetch_seconds", "max_file_bytes", "concurrency"):
        assert f"`{name}" in PAGE or f"{name}:" in PAGE
        assert name in PythonSettings.model_fields
