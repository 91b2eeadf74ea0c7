"""Requests that a kit's own description allows, and ones that it forbids, thousands of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mealkit.recipe.kit import Feature, Task

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# What no schema says: that the tool that is chosen is one of those that are given, each once.
NOT_IN_A_SCHEMA = frozenset({Feature.TOOLS})
PROMPTS = {
    "ask": ("{{ task }}: {{ text }}", ("task", "text")),
    "plain": ("as it is", ()),
}
OVERRIDES = {"temperature": {"maximum": 1.5}, "seed": {}, "max_tokens": {"maximum": 40}}


@pytest.mark.parametrize(
    ("task", "features", "excluded"),
    [
        *((task, frozenset(Feature) - NOT_IN_A_SCHEMA, ()) for task in Task),
        (Task.GENERATION, frozenset(Feature), ("--exclude-checks", "positive_data_acceptance")),
        (Task.GENERATION, frozenset({Feature.COMPLETION}), ()),
    ],
)
def test_kit_is_as_it_is_described(start, make_api_lock, tmp_path, task, features, excluded):
    """No request, however odd, has an answer that the description does not know, or a bug."""
    lock = make_api_lock(task, features=features, prompts=PROMPTS, overrides=OVERRIDES)
    kit = start(lock).wait_ready()
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIGURATION),
            *("run", f"{kit.client.base_url}/openapi.json", "--checks", "all", *excluded),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--seed", "1"),
            *("--generation-database", "none", "--no-color"),
        ],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert kit.events("bug") == []
