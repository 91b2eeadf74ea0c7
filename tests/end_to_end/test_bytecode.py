"""What a container imports was compiled when its image was built."""

import json

import pytest
from fakes.little import Heard

from mealkit.assembly.contents import _interpreter
from mealkit.assembly.shipped import shipped_library
from mealkit.containers.interpreter import python_command, run_python, unpack
from mealkit.pipeline.image.fetching_inputs import fetch_inputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.plan.layers import Bytecode
from mealkit.plan.planning import plan_image
from mealkit.recipe.lock import read_lock

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]

# Imports what the gateway and a worker import; prints modules whose code is not there.
INSIDE = """
import json, os, sys
import mealkit.runtime.life.serving, mealkit.runtime.api.openapi, mealkit.worker.host
sys.path.append("/opt/mealkit/engine")
import numpy, onnxruntime, tokenizers, asyncio
found = [module.__cached__ for module in list(sys.modules.values()) if getattr(module, "__cached__", None)]
bare = sorted(path for path in found if not os.path.exists(path))
print(json.dumps([len(found), bare]))
"""


def test_every_module_has_its_code(demo_tag, sdk):
    """Of some thousand modules, the standard library's among them, none is compiled at the start."""
    said = sdk.containers.run(
        demo_tag, ["-c", INSIDE], entrypoint="/usr/bin/python3.13", remove=True
    )
    count, bare = json.loads(said)
    assert count > 500
    # Debian's own is a link to a file that administrators edit, in /etc, where nothing is compiled.
    assert [path for path in bare if "sitecustomize" not in path] == []


def test_code_that_is_there_is_taken(demo_tag, sdk):
    """The Python of the image finds it to be its own, and asks no source for it."""
    said = sdk.containers.run(
        demo_tag,
        ["-v", "-c", "import mealkit.errors, mealkit.runtime.life.launch"],
        entrypoint="/usr/bin/python3.13",
        stderr=True,
        remove=True,
    ).decode()
    assert "# code object from '/opt/mealkit/lib/mealkit/errors.py'" not in said
    assert "/opt/mealkit/lib/mealkit/__pycache__/errors.cpython-313.pyc matches" in said


def test_nothing_of_this_machine_takes_part(demo, tmp_path):
    """The process that compiles sees the files of the packages, and no others."""
    lock = read_lock((demo.kit / "kit.lock").read_bytes())
    base = plan_image(lock, shipped_library("onnx")).layers[0]
    (content,) = [item for item in base.contents if isinstance(item, Bytecode)]
    inputs = fetch_inputs(open_kit(demo.kit, demo.home), lock, [base], demo.home, Heard())
    root = tmp_path / "root"
    root.mkdir()
    unpack(_interpreter(content, inputs, tmp_path), root)
    inside = "import os, sys; sys.stderr.write(' '.join(sorted(os.listdir('/'))))"
    command = python_command(root, content.python)
    with run_python(root, command, inside, seconds=60) as process:
        ending = process.wait()
    assert ending.code == 0
    assert ending.said.split() == sorted(path.name for path in root.iterdir())
