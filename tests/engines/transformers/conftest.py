"""Fixtures for the transformers engine: its packages, its models, and a process that has both."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
HYPERPARAMETERS = {
    "embeddings": {"pooling": "mean", "max_length": 256, "normalize": True},
    "classification": {"function": "softmax", "max_length": 128},
    "reranking": {"function": "sigmoid", "max_length": 128},
    "generation": {
        "max_length": 512,
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": 0,
        "stop": [],
        "chat_template": "model",
        "tool_calls": "none",
    },
}


class WorkerError(Exception):
    """What a worker refused; the attributes are those of the problem."""

    def __init__(self, problem):
        super().__init__(problem["message"])
        self.problem = problem


class WorkerProcess:
    """A process in which one worker after the other is loaded."""

    def __init__(self, packages: Path, folder: Path, settings):
        self.settings = settings
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{packages}:{REPOSITORY}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            # A worker loads once, and chooses the folder before; here they share one.
            "HF_MODULES_CACHE": str(folder / "code"),
        }
        # -S: nothing of the tests' own environment.
        command = [sys.executable, "-S", "-B", Path(__file__).parent / "worker_process.py"]
        self.folder = folder
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, method, *arguments):
        """Call a method; raise what it refused."""
        self.process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "problem" in answer:
            raise WorkerError(answer["problem"])
        return answer["answer"]

    def load(self, root, task, **changed):
        """Load a worker, with some settings or hyperparameters changed."""
        settings, chosen = dict(self.settings), {**HYPERPARAMETERS[task], "overlong": "refuse"}
        for name, value in changed.items():
            (settings if name in settings else chosen)[name] = value
        config = {
            "model_name": "m",
            "model_root": str(root),
            "task": task,
            "hyperparameters": chosen,
            "settings": settings,
            "code_root": str(root),
        }
        self("load", config)
        return self

    def problem(self, method, *arguments):
        """Return the problem that a call ends in."""
        with pytest.raises(WorkerError) as caught:
            self(method, *arguments)
        return caught.value.problem

    def load_problem(self, root, task, **changed):
        """Return the problem that loading ends in."""
        with pytest.raises(WorkerError) as caught:
            self.load(root, task, **changed)
        return caught.value.problem

    def close(self):
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


@pytest.fixture(scope="module")
def worker(transformers_packages, transformers_settings, tmp_path_factory):
    """A process with the engine's packages and nothing else, for the tests of a module."""
    folder = tmp_path_factory.mktemp("home")
    process = WorkerProcess(transformers_packages, folder, transformers_settings)
    yield process
    process.close()


@pytest.fixture
def copied(tmp_path):
    """Copy a model's folder, to damage it: ``copied(folder)``."""

    def copy(folder: Path) -> Path:
        target = tmp_path / "model"
        shutil.copytree(folder, target, copy_function=shutil.copyfile)
        target.chmod(0o755)
        return target

    return copy


def edited(path: Path, **changed) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
