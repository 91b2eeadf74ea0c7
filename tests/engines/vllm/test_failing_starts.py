"""What the real vLLM says when it cannot start means the right problem."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engines.conftest import installed_engine

import mealkit
from mealkit.evidence.recognition import Evidence, recognise

pytestmark = pytest.mark.xdist_group("vllm")

HERE = Path(__file__).parent
LIBRARY = Path(mealkit.__file__).parent.parent
# name: (change of config.json, of model.safetensors' bytes, further arguments)
STARTS = {
    "unknown quantisation": ({"quantization_config": {"quant_method": "magic"}}, None, {}),
    "long context": ({}, None, {"max_model_len": 4096}),
    "no weights": ({}, lambda _: None, {}),
    "half a file": ({}, lambda data: data[: len(data) // 2], {}),
    "little cache": ({"max_position_embeddings": 2**20}, None, {"max_model_len": 2**20}),
    "more than the machine has": ({}, None, {"VLLM_CPU_KVCACHE_SPACE": "60000"}),
    # The last one, because it changes the process.
    "batch invariance": ({}, None, {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_BATCH_INVARIANT": "1"}),
}


@pytest.fixture(scope="module")
def logs(tiny_llama, tmp_path_factory):
    """Return what vLLM printed at each start; one process, because its import takes longest."""
    packages = installed_engine("vllm")
    root = tmp_path_factory.mktemp("starts")
    asked = {}
    for name, (config, change, more) in STARTS.items():
        folder = root / name
        shutil.copytree(tiny_llama, folder)
        stated = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**stated, **config}))
        weights = folder / "model.safetensors"
        data = weights.read_bytes()
        weights.unlink()
        if (data := change(data) if change else data) is not None:
            weights.write_bytes(data)
        asked[name] = {"model": str(folder), "max_model_len": 64, **more}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "PYTHONPATH": f"{LIBRARY}:{packages}",
        "OMP_NUM_THREADS": "1",
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_BATCH_INVARIANT": "0",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_COLOR": "0",
        "HF_HUB_OFFLINE": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-s", "-P", str(HERE / "failing_starts.py"), json.dumps(asked)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    parts = ended.stdout.split("===== ")[1:]
    return {name: rest for name, _, rest in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize(
    ("name", "code", "measured", "required", "hint"),
    [
        ("unknown quantisation", "ENGINE_START", None, None, "model.weights"),
        ("long context", "ENGINE_START", "512 tokens", "4096 tokens", "max_length in kit.yaml to 512"),
        ("no weights", "ENGINE_START", None, None, ".safetensors"),
        ("half a file", "ENGINE_START", None, None, "mealkit lock --upgrade weights"),
        ("little cache", "ENGINE_START", "1.0 GiB for the KV cache", "6.25 GiB", "kv_cache_gib"),
        (
            "more than the machine has",
            "ENGINE_OUT_OF_MEMORY",
            ...,
            "60000.0 GiB for the KV cache",
            "more memory",
        ),
        ("batch invariance", "ENGINE_START", None, None, "batch_invariant: false"),
    ],
)  # fmt: skip
def test_a_start_that_fails(logs, name, code, measured, required, hint):
    """Its own code, numbers and hint, for the author of the kit or the platform."""
    found = recognise(Evidence(logs[name], exit_code=1))
    assert found is not None, logs[name][-2000:]
    assert found.code == code
    assert found.owner == ("platform" if code == "ENGINE_OUT_OF_MEMORY" else "kit-author")
    assert found.required == required
    assert measured is ... or found.measured == measured
    assert hint in found.hint
