"""Folders besides the kit's own are read only if the caller says so, with every verb."""

import pytest

VERBS = {
    "check": ["check", "soup"],
    "lock": ["lock", "soup"],
    "lock --check": ["lock", "soup", "--check"],
    "build": ["build", "soup"],
    "render": ["render", "soup"],
    "preflight": ["preflight", "soup"],
    "estimate": ["estimate", "soup"],
    "run": ["run", "soup"],
    "diff": ["diff", "soup", "soup"],
}


@pytest.fixture
def outside(kit, tmp_path):
    """The kit's weights come from a folder beside it."""
    text = (kit / "kit.yaml").read_text()
    (kit / "kit.yaml").write_text(text.replace("path: graph", "path: ../my models"))
    (kit / "graph").rename(tmp_path / "my models")
    return tmp_path / "my models"


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_refuses_a_folder_outside(verb, outside, mealkit):
    """With the option that allows it, ready to be pasted."""
    done = mealkit(*verb)
    assert done.returncode == 3, done.stderr
    assert "error[KIT_PATH_OUTSIDE]" in done.stderr
    assert f"--allow-folder '{outside}'" in done.stderr


@pytest.mark.parametrize("verb", ["lock --check", "preflight", "estimate"])
def test_every_verb_takes_the_option(verb, outside, mealkit):
    """What is told then is the next thing: there is no lock yet."""
    done = mealkit(*VERBS[verb], "--allow-folder", str(outside))
    assert "LOCK_MISSING" in done.stderr


def test_the_environment_allows_several_folders(outside, mealkit, tmp_path):
    """They are parted by colons; for CI. An empty one allows nothing."""
    several = f"{tmp_path}/nothing:{outside}"
    assert mealkit("check", "soup", more={"MEALKIT_ALLOW_FOLDERS": several}).returncode == 0
    assert mealkit("check", "soup", more={"MEALKIT_ALLOW_FOLDERS": ""}).returncode == 3
    assert mealkit("check", "soup", "--allow-folder", "/srv").returncode == 3
