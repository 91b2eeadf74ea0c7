"""``mealkit deploy render`` writes files, or prints them, and says what stays closed."""

import shutil

import pytest
from fakes.rendered_kits import IMAGE, KITS, read_yaml
from typer.testing import CliRunner

from mealkit.cli.program import app


def mealkit(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def lock(tmp_path):
    return shutil.copy(KITS / "tiny-chat-onnx" / "kit.lock", tmp_path / "kit.lock")


def test_files_are_written_or_printed(lock, tmp_path):
    """Without a folder the files go to stdout; notes to stderr."""
    folder = tmp_path / "manifests"
    arguments = ["deploy", "render", "kubernetes", str(lock), "--image", str(IMAGE)]
    shown = mealkit(*arguments)
    assert shown.exit_code == 0
    assert "note: no other Pod may call the kit" in shown.stderr
    assert "note: --output FOLDER also writes secrets.yaml.example" in shown.stderr
    written = mealkit(*arguments, "--output", str(folder))
    assert written.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "base.yaml",
        "deployment.yaml",
        "secrets.yaml.example",
    ]
    found = [
        item
        for name in ("base.yaml", "deployment.yaml")
        for item in read_yaml((folder / name).read_text())
    ]
    assert read_yaml(shown.stdout) == found
    assert {item["kind"] for item in found} == {
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Deployment",
        "Service",
    }


def test_a_wrong_file_is_a_problem_with_its_line(lock, tmp_path):
    """And the exit code is that of deployments."""
    (tmp_path / "deploy.yaml").write_text("replicas: many\n")
    shown = mealkit("deploy", "render", "helm", str(lock), "--image", str(IMAGE))
    assert shown.exit_code == 16
    assert "deploy.yaml:1" in shown.stderr


def test_only_charts_are_pushed(lock):
    """Other formats have no place in a registry."""
    shown = mealkit(
        "deploy", "render", "kserve", str(lock), "--image", str(IMAGE), "--push", "host:5000/a"
    )
    assert "error[USAGE] --push is for helm" in shown.stderr
