"""Real workers that die as engines do: the right code, the right owner, counted and told."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from runtime.conftest import container_command

from mealkit.errors import CATALOGUE
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import lock_bytes

LIMIT_BYTES = 192 * 2**20


def end_of(kit):
    """The problem that ends a container half, which is its last line."""
    code = kit.wait_end()
    problem = kit.lines[-1]
    assert code == CATALOGUE[problem["code"]].error.exit_code
    assert json.loads((kit.root / "termination-log").read_text()) == problem
    return problem


# vllm-project/vllm#33297, #6464, #807; NVIDIA/nccl-tests#166
FREE_MEMORY = (
    "ValueError: Free memory on device cuda:0 (1.53/22.05 GiB) on startup is less than desired GPU"
    " memory utilization (0.9, 19.84 GiB). Decrease GPU memory utilization or reduce GPU memory"
    " used by other processes."
)
GLIBC = "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found"
SHM = "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-KWfVyt (size 5967872)"


@pytest.mark.parametrize(
    ("settings", "code", "owner"),
    [
        ({"load_says": FREE_MEMORY, "load_exits": 1}, "FIT_VRAM", "platform"),
        ({"load_says": GLIBC, "load_exits": 1}, "ENGINE_LIBRARY", "kit-author"),
        ({"load_says": SHM, "load_ends_by": "SIGABRT"}, "HOST_SHM", "platform"),
        ({"load_ends_by": "SIGILL"}, "ENGINE_ILLEGAL_INSTRUCTION", "kit-author"),
        ({"load_ends_by": "SIGBUS"}, "HOST_SHM", "platform"),
        ({"load_says": "AMX_INT8 = 1", "load_ends_by": "SIGSEGV"}, None, "kit-author"),
        ({"load_raises": "No CUDA GPUs are available"}, "HW_NO_GPU", "hardware"),
        ({"load_raises": "something else"}, "ENGINE_START", "kit-author"),
        ({"load_exits": 3}, "ENGINE_START", "kit-author"),
    ],
)
def test_death_while_loading(start, make_lock, settings, code, owner):
    """The worker's output and its exit decide; so does an uncaught exception."""
    problem = end_of(start(make_lock(settings=settings, gpu=Gpu.OPTIONAL)))
    assert (problem["code"], problem["owner"]) == (code or "ENGINE_ILLEGAL_INSTRUCTION", owner)
    assert ("contact" in problem) == (owner == "kit-author")
    if said := settings.get("load_says"):
        assert said in problem["message"]


def test_numbers_and_the_cause_survive_a_long_traceback(start, make_lock):
    """The line that explains stands far above the last one."""
    trace = "\n".join(f"(APIServer pid=1)   File {number}" for number in range(200))
    settings = {"load_says": f"{FREE_MEMORY}\n{trace}", "load_exits": 1}
    problem = end_of(start(make_lock(settings=settings, gpu=Gpu.OPTIONAL)))
    assert problem["measured"] == "1.53 GiB free of 22.05 GiB"
    assert problem["required"] == "19.84 GiB"
    assert FREE_MEMORY[:60] in problem["message"]
    assert problem["message"].endswith("File 199")


def test_what_the_worker_states_wins(start, make_lock):
    """Its own problem is better than what its log looks like."""
    settings = {"load_says": FREE_MEMORY, "load_fails": "no tensor called x"}
    assert end_of(start(make_lock(settings=settings)))["code"] == "WEIGHTS_MISSING"


def test_deaths_are_counted_by_what_they_mean(start, make_lock):
    """The counter has the cause's code and owner, and so have the answers and the last problem."""
    kit = start(make_lock(serving={"restarts": 1})).wait_ready()
    os.kill(kit.worker_pid(), signal.SIGILL)
    body = kit.wait_for(lambda: (r := kit.ready()).status_code == 503 and r.json())
    assert body["problem"]["code"] == "ENGINE_ILLEGAL_INSTRUCTION"
    kit.wait_ready()
    counted = 'mealkit_failures_total{code="ENGINE_ILLEGAL_INSTRUCTION",owner="kit-author"} 1.0'
    assert counted in kit.client.get("/metrics").text
    os.kill(kit.events("worker started")[-1]["pid"], signal.SIGILL)
    problem = end_of(kit)
    assert problem["code"] == "ENGINE_ILLEGAL_INSTRUCTION"
    assert problem["message"].startswith("the engine was restarted 1 times and died again")


@pytest.mark.docker
@pytest.mark.parametrize(
    ("stated_bytes", "code", "owner", "required"),
    [
        (
            LIMIT_BYTES,
            "ENGINE_MEMORY_STATED",
            "kit-author",
            "more than 192.0 MiB, which the kit asks for",
        ),
        (2 * LIMIT_BYTES, "ENGINE_OUT_OF_MEMORY", "platform", "more than the limit of 192.0 MiB"),
    ],
    ids=["as the kit asks", "less than the kit asks"],
)
def test_killed_for_memory_in_a_container(  # while it loads, after it started
    empty_image, make_lock, tmp_path, stated_bytes, code, owner, required
):
    """The kernel's kill is read from the control group: measured, the limit, and whose it is."""
    for name in ("etc", "models", "state"):
        (tmp_path / name).mkdir()
    quiet = tmp_path / "quiet"
    settings = {"load_waits_for": str(quiet), "load_takes_bytes": 4 * LIMIT_BYTES}
    lock = make_lock(settings=settings, weights={})
    needs = lock.requirements.model_copy(update={"memory_bytes": stated_bytes})
    lock = lock.model_copy(update={"requirements": needs})
    (tmp_path / "etc" / "kit.lock").write_bytes(lock_bytes(lock))
    exit_code, problem = run_in_container(empty_image, tmp_path, LIMIT_BYTES, quiet)
    assert (exit_code, problem["code"], problem["owner"]) == (11, code, owner)
    assert problem["required"] == required
    number, unit, *_ = problem["measured"].split()
    assert unit == "MiB"
    assert 128 < float(number) <= 192
    assert ("hardware.memory" in problem["hint"]) == (owner == "kit-author")


def run_in_container(
    image: str, root: Path, limit_bytes: int, quiet: Path
) -> tuple[int, dict[str, object]]:
    """Run the container half with this Python; return its exit code and its last line.

    ``quiet`` is made when only the engine is still at work. Until what the kernel kills has given its
    memory back, the next process that asks for some is killed too, and that may be the gateway.
    """
    limits = [f"--memory={limit_bytes}", f"--memory-swap={limit_bytes}", "--network=none"]
    command = container_command(
        image,
        root,
        "--rm",
        "--tmpfs=/state:exec",
        *limits,
        MEALKIT_HOST="127.0.0.1",
        MEALKIT_PORT="0",
    )
    lines = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            # The client may say something of its own.
            if line.startswith("{"):
                lines.append(json.loads(line))
            if '"status": "loading"' in line:
                quiet.touch()
    return process.returncode, lines[-1]
