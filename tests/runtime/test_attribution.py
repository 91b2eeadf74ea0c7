"""A kit's word about whose its failure is: enough to take it upon itself, not to hand it on."""

import pytest
from runtime.life.test_isolation import python_kit, with_code

from mealkit.digest import Digest
from mealkit.errors import CATALOGUE, Owner, problem
from mealkit.recipe.lock import LockedWheel
from mealkit.runtime.attribution import Attribution

OWN = Attribution(runs_own_code=True, uses_gpu=True)
ENGINE = Attribution(runs_own_code=False, uses_gpu=True)
NO_GPU = Attribution(runs_own_code=False, uses_gpu=False)


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_kits_own_code_blames_itself_alone(code):
    """Whatever problem its output resembles, at its end and in its answers."""
    claim = problem(code, "words", hint="do this")
    ended = OWN.of_end(claim, "ENGINE_DIED", "the engine's process ended with exit code 1")
    assert ended.owner is Owner.KIT_AUTHOR
    (answered,) = OWN.of_answer([claim]).problems
    # It may refuse a request; no other problem has another owner.
    refuses = answered.code.startswith("REQUEST_") or answered.code == "INPUT_REFUSED"
    assert answered.owner is Owner.KIT_AUTHOR or refuses
    if claim.owner is not Owner.KIT_AUTHOR:
        assert ended.message == (
            f"the engine's process ended with exit code 1; the output resembles {code}"
            f" ({claim.owner}), but only the kit's own output says so: words"
        )
        assert ended.hint.endswith(f"if it is {code}: do this")


def test_an_engine_is_believed_what_engines_know():
    """One that runs none of the kit's code: about the machine, and GPUs if the kit uses one."""
    claim = problem("FIT_VRAM", "the GPU's memory ran out", measured="1 GiB")
    assert ENGINE.of_end(claim, "ENGINE_DIED", "it ended") == claim
    assert NO_GPU.of_end(claim, "ENGINE_DIED", "it ended").owner is Owner.KIT_AUTHOR
    shm = problem("HOST_SHM", "too small")
    assert NO_GPU.of_end(shm, "ENGINE_DIED", "it ended") == shm
    for code in ("INTERNAL", "REQUEST_INVALID", "WEIGHTS_DAMAGED"):
        kept = ENGINE.of_end(problem(code, "words"), "ENGINE_DIED", "it ended")
        assert kept.owner is Owner.KIT_AUTHOR


def test_what_brings_code(make_lock):
    """The engine python, an engine that is not ours, and a wheel from the kit's folder."""
    assert not Attribution.of(make_lock()).runs_own_code
    assert Attribution.of(make_lock(engine="python")).runs_own_code
    assert Attribution.of(make_lock(engine="another")).runs_own_code
    wheel = LockedWheel(
        name="x", version="1", filename="x-1-py3-none-any.whl", sha256=Digest.of(b""),
        size_bytes=1, local=True,
    )  # fmt: skip
    lock = make_lock()
    own = lock.model_copy(update={"engine": lock.engine.model_copy(update={"packages": (wheel,)})})
    assert Attribution.of(own).runs_own_code


HANDLER = """
import os, sys

class Handler:
    def load(self):
        {load}

    def predict(self, text: str) -> str:
        {predict}
"""
SAYS = {
    "cuda": "print('torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 22.00 MiB.', file=sys.stderr); os._exit(1)",
    "ecc": "print('RuntimeError: CUDA error: uncorrectable ECC error encountered'); os._exit(1)",
    "json": """os.write(2, b'{"code": "HW_GPU_LOST", "message": "gone"}\\n'); os._exit(10)""",
    "error": "from mealkit.errors import failure; raise failure('WEIGHTS_MISMATCH', 'changed')",
    "bus": "os.kill(os.getpid(), 7)",
    "memory": "raise MemoryError",
    "killed": "os.kill(os.getpid(), 9)",
    "internal": "from mealkit.errors import failure; raise failure('INTERNAL', 'a bug')",
}


@pytest.mark.parametrize("how", SAYS)
def test_a_handler_that_fails_in_its_load(start, make_lock, how):
    """Prints, states and raises what others would own: it stays its author's, who is named."""
    code = HANDLER.format(load=SAYS[how], predict="return text")
    kit = start(python_kit(make_lock, serving={"restarts": 0}), change=with_code(code))
    kit.wait_end()
    last = kit.lines[-1]
    assert (last["owner"], last["contact"]["team"]) == ("kit-author", "authors"), last
    assert last["code"] == "ENGINE_START"


@pytest.mark.parametrize("how", ["error", "internal"])
def test_a_handler_that_answers_with_others_problems(start, make_lock, how):
    """The answer, and the counter, say that the engine failed."""
    code = HANDLER.format(load="pass", predict=SAYS[how])
    kit = start(python_kit(make_lock), change=with_code(code)).wait_ready()
    answer = kit.client.post("/v1/predict", json={"input": {"text": "x"}})
    error = answer.json()["error"]
    assert (error["code"], error["owner"]) == ("ENGINE_ANSWER", "kit-author")
    counted = [line for line in kit.client.get("/metrics").text.splitlines() if "owner=" in line]
    owners = {line.partition("owner=")[2] for line in counted if not line.endswith(" 0.0")}
    assert owners == {'"kit-author"} 1.0'}
