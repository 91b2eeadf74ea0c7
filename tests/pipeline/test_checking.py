"""What ``check`` finds without a network: each mistake with its code, line, owner and hint."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.graphs import little_graph
from fakes.little import edit_kit, little_kit, safetensors
from fakes.wheels import write_wheel

from mealkit.errors import KitError, MealkitError, Owner, Problem
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.checking import check_kit
from mealkit.pipeline.publish.pushing import PushRequest, push_target
from mealkit.progress import SILENT

# Each test has a kit of its own, in which only what it shows is wrong.
HANDLER = """class Handler:
    def predict(self, text: str) -> str:
        return text
"""
HERE = "{}.{}".format(*sys.version_info)
_OF_TASK: dict[str, dict[str, Any]] = {
    "embeddings": {"pooling": "mean", "normalize": True},
    "classification": {"function": "softmax"},
    "generation": {"max_tokens": 8, "temperature": 0, "chat_template": "none"},
}


def problems(folder: Path, home: Home) -> tuple[Problem, ...]:
    """The problems of a kit: all are its author's, and each has a place."""
    with pytest.raises(KitError) as raised:
        check_kit(folder, home)
    found = raised.value.problems
    assert all(item.owner is Owner.KIT_AUTHOR for item in found)
    assert all(item.where for item in found)
    return found


def line_of(folder: Path, text: str) -> str:
    """``kit.yaml:LINE`` of the first line with a text."""
    lines = (folder / "kit.yaml").read_text().splitlines()
    number = next(index for index, line in enumerate(lines, 1) if text in line)
    return f"{folder / 'kit.yaml'}:{number}"


def python_kit(folder: Path, text: str = HANDLER, python: str = HERE) -> Path:
    """A kit of the paper's own code."""
    little_kit(folder)
    (folder / "handler.py").write_text(text)
    changes = {
        "engine": "python",
        "settings": {"handler": "handler.py:Handler"},
        "code": ["handler.py"],
        "python": python,
    }

    def change(form: dict[str, Any]) -> None:
        form["runtime"].update(changes)
        form["model"]["task"] = "prediction"
        del form["hyperparameters"]

    edit_kit(folder, change)
    return folder


def files_kit(folder: Path, engine: str, task: str, files: list[str], **settings: Any) -> Path:
    """A kit whose weights are these files of a folder."""
    little_kit(folder)
    for left in (folder / "weights").iterdir():
        left.unlink()
    for name in files:
        data = b"{}"
        if name.endswith(".safetensors"):
            data = safetensors(100)
        elif name.endswith(".onnx"):
            data = little_graph()
        elif name.endswith(".gguf"):
            data = b"GGUF" + bytes(20)
        (folder / "weights" / name).write_bytes(data)

    def change(form: dict[str, Any]) -> None:
        form["runtime"].update(engine=engine, settings=settings)
        form["model"]["task"] = task
        form["model"]["weights"][0]["files"] = files
        form["hyperparameters"] = {"max_length": 16, **_OF_TASK[task]}

    edit_kit(folder, change)
    return folder


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("class Handler:\n  def predict(self)\n", 2, "expected ':'"),
        ("x = 1\nprint('a'\n" + HANDLER, 2, "was never closed"),
        (HANDLER + "return 3\n", 4, "'return' outside function"),
        (HANDLER + "def f(a, a): pass\n", 4, "duplicate argument"),
        (HANDLER + "await f()\n", 4, "'await' outside"),
        (HANDLER + "for x in y:\n\tif x:\n        continue\n", 6, "inconsistent use of tabs"),
    ],
)
@pytest.mark.parametrize("python", [HERE, "3.14"])
def test_a_syntax_error_is_found_by_check(tmp_path, home, text, line, said, python):
    """With its line and what to correct, also for a Python that is newer than this one."""
    kit = python_kit(tmp_path / "kit", text, python)
    found = problems(kit, home)[0]
    assert (found.code, found.where) == ("KIT_INVALID", f"handler.py:{line}")
    assert said in found.message
    assert found.hint == f"correct handler.py:{line}"


@pytest.mark.parametrize("python", [HERE, "3.14"])
def test_a_mark_of_the_byte_order_is_no_mistake(tmp_path, home, python):
    """Editors write it, nobody sees it, and Python reads over it."""
    kit = python_kit(tmp_path / "kit", "\ufeff" + HANDLER, python)
    assert not [item for item in check_kit(kit, home).warnings if item.where == "handler.py:1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tokenizer.json is empty"),
        ('{"a": 1,}', "tokenizer.json is not JSON: "),
        ("{", "tokenizer.json is not JSON: "),
        ("[" * 100_000, "tokenizer.json is not JSON: "),
    ],
    ids=["empty", "comma", "cut", "deep"],
)
def test_a_file_of_json_must_be_json(tmp_path, home, text, said):
    """Found before a lock, not by the engine's start; at the line of its entry."""
    files = ["model.onnx", "tokenizer.json", "config.json"]
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", files)
    (kit / "weights" / "tokenizer.json").write_text(text)
    (found,) = problems(kit, home)
    assert (found.code, found.owner) == ("WEIGHTS_FORMAT", "kit-author")
    assert said in found.message
    assert "kit.yaml:" in found.where


def test_newer_syntax_is_checked_by_the_kits_python_or_not_at_all(tmp_path, home, monkeypatch):
    """Without that Python, a warning says so; it is no problem."""
    monkeypatch.setattr(
        sys.modules["mealkit.sources.machine_python"].Path, "home", lambda: tmp_path
    )
    for name in ("PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    newer = "type Number = int\n" + HANDLER
    kit = python_kit(tmp_path / "kit", newer, "3.99")
    (warning,) = check_kit(kit, home).warnings
    assert warning.code == "KIT_CODE_UNCHECKED"
    assert f"not checked: Python {HERE} cannot read 3.99" in warning.message
    assert warning.hint.startswith("correct handler.py:1")


@pytest.mark.parametrize(
    ("engine", "task", "files", "lacks"),
    [
        ("onnx", "embeddings", ["model.onnx"], ["tokenizer.json"]),
        ("onnx", "embeddings", ["tokenizer.json"], ["model.onnx"]),
        ("onnx", "classification", ["model.onnx", "tokenizer.json"], ["config.json"]),
        ("onnx", "generation", ["model.onnx", "tokenizer.json"], ["genai_config.json"]),
        ("transformers", "embeddings", ["model.safetensors"], ["config.json", "tokenizer.json"]),
        (
            "transformers",
            "generation",
            ["config.json", "vocab.json"],
            ["model.safe", "tokenizer.json"],
        ),
        ("llama-cpp", "embeddings", ["tokenizer.json"], ["model.gguf"]),
        ("vllm", "generation", ["config.json", "tokenizer.json"], ["*.safetensors"]),
    ],
)
def test_files_that_an_engine_needs_are_named(tmp_path, home, engine, task, files, lacks):
    """All at once, with the line of the files."""
    settings: dict[str, Any] = {}
    if engine == "vllm":
        settings = {"dtype": "float32"}
    kit = files_kit(tmp_path / "kit", engine, task, files, **settings)
    if engine == "vllm":
        packages = ["g++", "libc6-dev", "libpython3.13-dev"]
        base = {"source": "debian", "suite": "trixie", "packages": packages}
        edit_kit(kit, lambda form: form["runtime"].update(base=base))
        edit_kit(kit, lambda form: form["hardware"].update(gpu="required"))
    found = problems(kit, home)
    assert [item.code for item in found] == ["WEIGHTS_INCOMPLETE"] * len(lacks)
    for item, lack in zip(found, lacks, strict=True):
        assert f"the engine {engine} needs {lack}" in item.message
        assert item.where == line_of(kit, "files:")
        assert "model.weights" in item.hint


def test_a_setting_that_names_another_file_is_corrected(tmp_path, home):
    """The only file of that kind is offered."""
    kit = files_kit(tmp_path / "kit", "llama-cpp", "generation", ["chat.gguf"], model="chatt.gguf")
    (found,) = problems(kit, home)
    assert found.hint.startswith("write model: chat.gguf under runtime.settings")
    assert found.where == line_of(kit, "model: chatt.gguf")


def test_a_file_beside_the_weights_only_has_to_be_named(tmp_path, home):
    """It is in the folder already."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx"])
    (kit / "weights" / "tokenizer.json").write_text("{}")
    (found,) = problems(kit, home)
    assert found.hint == "add tokenizer.json to files: it is in the folder weights"
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=["*.onnx", "*.json"]))
    assert check_kit(kit, home).warnings == ()


def test_a_pattern_elsewhere_may_match_what_is_needed(tmp_path, home):
    """Only the source knows."""
    kit = files_kit(tmp_path / "kit", "transformers", "embeddings", ["config.json"])
    hub = {"source": "hub", "repo": "a/b", "revision": "main", "files": ["*.json", "model*"]}
    edit_kit(kit, lambda form: form["model"].update(weights=[hub]))
    check_kit(kit, home)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("model.onnx", b"<html>Not Found</html>", "WEIGHTS_FORMAT"),
        ("model.safetensors", b"not at all", "WEIGHTS_FORMAT"),
        ("model.gguf", b"version https://git-lfs.github.com/spec/v1\n", "WEIGHTS_FORMAT"),
    ],
)
def test_a_local_file_must_be_what_its_name_says(tmp_path, home, name, content, code):
    """An error page, or a pointer of Git LFS."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    (kit / "weights" / name).write_bytes(content)
    files = ["model.onnx", "tokenizer.json", name]
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=files))
    assert code in {item.code for item in problems(kit, home)}


@pytest.mark.parametrize(
    "tag",
    ["cp311-cp311-manylinux_2_28_x86_64", "cp313-cp313-win_amd64", "cp313-cp313-macosx_11_0_arm64"],
)
def test_a_wheel_must_fit_the_kits_python(tmp_path, home, tag):
    """A package is wrong if none of its wheels fits."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    write_wheel(kit / "wheels", "stew", {"stew.py": b""}, tag=tag)
    (found,) = problems(kit, home)
    assert found.code == "PACKAGES_SOURCE_ONLY"
    assert found.message.startswith("no wheel of stew is for Python 3.13 on amd64")
    assert found.where == line_of(kit, "wheels:")
    write_wheel(kit / "wheels", "stew", {"stew.py": b""}, tag="cp313-abi3-manylinux_2_28_x86_64")
    check_kit(kit, home)


def test_a_wheel_that_is_none_is_named(tmp_path, home):
    """Whatever its name says."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    (kit / "wheels" / "stew-1.0-py3-none-any.whl").write_text("<html>")
    (found,) = problems(kit, home)
    assert "stew-1.0-py3-none-any.whl is not a wheel" in found.message


def test_missing_wheels_name_the_script_that_makes_them(tmp_path, home):
    """As a command that can be pasted."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    edit_kit(kit, lambda form: form["runtime"].update(wheels=["built"]))
    (found,) = problems(kit, home)
    assert found.code == "KIT_FILE_MISSING"
    (kit / "build_wheel.sh").write_text("pip wheel -w built stew\n")
    (named,) = problems(kit, home)
    assert named.hint == f"make it: bash {kit / 'build_wheel.sh'}"


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("import cv2", "opencv-python-headless"),
        ("from sklearn.svm import SVC", "scikit-learn"),
        ("import PIL.Image", "pillow"),
        ("import yaml", "pyyaml"),
        ("import pandas as pd", "pandas"),
    ],
)
def test_an_import_that_nothing_provides_names_its_package(tmp_path, home, line, package):
    """A problem if the kit has no packages; else a warning once they are locked."""
    kit = python_kit(tmp_path / "kit", f"{line}\n{HANDLER}", "3.13")
    base = {"source": "debian", "suite": "trixie"}
    edit_kit(kit, lambda form: form["runtime"].update(base=base, wheels=[]))
    (found,) = problems(kit, home)
    assert (found.code, found.where) == ("KIT_INVALID", "handler.py:1")
    assert found.hint.startswith(f"add its package, {package}, to runtime.requirements")


@pytest.mark.parametrize(
    ("place", "value", "hint"),
    [
        (("owner", "contact"), "mailto:little@example.org", "write an address"),
        (("owner", "contact"), "https://help.example.com/x", "write an address"),
        (("owner", "team"), "the little team", "write the name of the team"),
        (("owner", "team"), "your team", "write the name of the team"),
        (("license",), "NOASSERTION", "write its SPDX identifier"),
        (("license",), "UNKNOWN", "write its SPDX identifier"),
        (("license",), "Apache 2.0", "write Apache-2.0"),
        (("model", "license"), "MIT License", "write MIT"),
        (("model", "license"), "LicenseRef-unknown", "write its SPDX identifier"),
        (("paper", "title"), "The paper's title", "write the paper's title"),
        (("paper", "arxiv"), "0000.00000", "write the paper's number"),
    ],
)
def test_a_placeholder_is_a_warning_in_check_and_refused_at_push(
    tmp_path, home, place, value, hint
):
    """Before anything is built; with its line, its owner and what to write."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    assert check_kit(kit, home).warnings == ()

    def change(form: dict[str, Any]) -> None:
        if place[0] == "paper":
            form["paper"] = {"title": "Soup"}
        inner = form
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value

    edit_kit(kit, change)
    (warning,) = check_kit(kit, home).warnings
    assert (warning.code, warning.owner) == ("KIT_PLACEHOLDER", Owner.KIT_AUTHOR)
    assert warning.message.startswith(f"{'.'.join(place)} is ")
    assert value in warning.message
    assert warning.hint.startswith(hint)
    assert warning.where == line_of(kit, yaml.safe_dump({place[-1]: value}).strip())
    with pytest.raises(MealkitError) as raised:
        push_target(PushRequest(str(kit), "localhost:9/little:1.0.0"), home, SILENT)
    assert raised.value.problems == (warning,)
    assert not (kit / "kit.lock").exists()


def test_an_image_of_a_kit_with_a_placeholder_is_not_pushed_either(tmp_path, home, build):
    """It can be built and run."""
    kit = files_kit(tmp_path / "kit", "onnx", "embeddings", ["model.onnx", "tokenizer.json"])
    edit_kit(kit, lambda form: form["owner"].update(contact="mailto:me@example.org"))
    build(kit)
    with pytest.raises(MealkitError) as raised:
        push_target(PushRequest("little:1.0.0", "localhost:9/little:1.0.0"), home, SILENT)
    (found,) = raised.value.problems
    assert (found.code, found.where) == ("KIT_PLACEHOLDER", "little:1.0.0")
