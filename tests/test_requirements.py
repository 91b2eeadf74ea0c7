"""What pyproject.toml asks for, and what the tests install."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))


def test_the_tests_have_what_the_extra_promises():
    """Everything that `pip install 'mealkit[evaluation]'` brings is in the environment of the tests."""
    extra = PROJECT["project"]["optional-dependencies"]["evaluation"]
    assert PROJECT["dependency-groups"]["evaluation"] == extra
    assert {"include-group": "evaluation"} in PROJECT["dependency-groups"]["test"]


def _lock(name):
    """The version of each package of a lock, with the digests that it accepts."""
    text = (Path(__file__).parents[1] / "requirements" / name).read_text("utf-8")
    found = {}
    for entry in re.split(r"\n(?=\S)", text):
        package, version = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", entry).groups()
        found[package] = version, frozenset(re.findall(r"sha256:\w{64}", entry))
    return found


def test_the_demo_installs_what_the_tests_do_and_less():
    """Its lock has the versions and digests of the development environment, so the tests add to what is there."""
    demo, dev = _lock("demo.txt"), _lock("dev.txt")
    assert demo.items() <= dev.items()
    assert len(demo) < len(dev) / 2


def test_the_demo_installs_what_mealkit_needs():
    """Every dependency of mealkit is in its lock, and no library of an extra, engine or test is."""
    project = PROJECT["project"]
    demo = _lock("demo.txt")
    needed = {_name(item) for item in project["dependencies"]}
    needed |= {_name(item) for item in PROJECT["dependency-groups"]["demo"]}
    assert needed <= demo.keys()
    extras = {_name(item) for items in project["optional-dependencies"].values() for item in items}
    assert not demo.keys() & (extras | {"numpy", "onnxruntime", "pytest", "ruff", "mypy"})


def test_every_lock_is_made_by_make():
    """`make lock-dev` updates each lock in `requirements/` that no kit's engine decides."""
    made = re.findall(
        r"-o requirements/(\S+)", (Path(__file__).parents[1] / "Makefile").read_text()
    )
    folder = Path(__file__).parents[1] / "requirements"
    assert sorted(made) == sorted(
        file.name for file in folder.iterdir() if not file.name.startswith("engine-")
    )


def _name(requirement):
    return re.match(r"[\w.-]+", requirement)[0].replace("_", "-")
