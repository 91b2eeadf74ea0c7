"""What a process left behind means a problem, or none: killed, ended by a signal, or unknown."""

from dataclasses import replace

import pytest

from mealkit.errors import Owner
from mealkit.evidence.recognition import Evidence, last_words, recognise

ORDINARY = """INFO 04-30 10:20:35 [monitor.py:33] torch.compile takes 13.93 s in total
Traceback (most recent call last):
  File "worker.py", line 3, in load
    self.model = json.loads(text)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"""


def test_what_nobody_knows_is_not_guessed():
    """An ordinary traceback has no problem of its own; and a process that ended well has none."""
    assert recognise(Evidence(ORDINARY, exit_code=1)) is None
    assert recognise(Evidence("", signal_name="SIGTERM")) is None
    assert recognise(Evidence("", signal_name="SIGKILL")) is None
    assert recognise(Evidence("", signal_name="SIGSEGV")) is None
    assert recognise(Evidence("CUDA out of memory", exit_code=0)) is None


def test_killed_for_memory():
    """SIGKILL and a risen count: measured beside the limit, and the platform's to mend."""
    found = recognise(
        Evidence(
            "loading",
            signal_name="SIGKILL",
            killed_for_memory=True,
            memory_peak_bytes=64 * 2**20,
            memory_limit_bytes=64 * 2**20,
        )
    )
    assert (found.code, found.owner) == ("ENGINE_OUT_OF_MEMORY", Owner.PLATFORM)
    assert found.measured == "64.0 MiB in use at most"
    assert found.required == "more than the limit of 64.0 MiB"
    assert found.hint == "raise the container's memory limit above 64.0 MiB"
    assert found.message.endswith("\n| loading")


def test_killed_for_memory_that_the_kit_asks_for():
    """The container has what the kit states, so its author is asked to state more."""
    evidence = Evidence(
        '{"time": "2026-01-01T00:00:00+00:00", "level": "info", "event": "listening"}\nloading',
        exit_code=137,
        killed_for_memory=True,
        memory_limit_bytes=64 * 2**20,
        memory_stated_bytes=64 * 2**20,
    )
    found = recognise(evidence)
    assert (found.code, found.owner) == ("ENGINE_MEMORY_STATED", Owner.KIT_AUTHOR)
    assert found.where == "hardware.memory"
    assert found.measured == "all of the limit of 64.0 MiB in use"
    assert found.required == "more than 64.0 MiB, which the kit asks for"
    assert "hardware.memory in kit.yaml" in found.hint
    # A line of the gateway's log says nothing about memory.
    assert found.message.endswith("\n| loading")
    assert "listening" not in found.message
    less = replace(evidence, memory_limit_bytes=64 * 2**20 - 1)
    assert recognise(less).owner is Owner.PLATFORM
    none = replace(evidence, memory_limit_bytes=None)
    assert "the machine ran out" in recognise(none).message


def test_killed_for_memory_without_a_limit():
    """Then it was the machine that ran out."""
    found = recognise(Evidence("", exit_code=137, killed_for_memory=True))
    assert (found.code, found.measured, found.required) == ("ENGINE_OUT_OF_MEMORY", None, None)
    assert "the machine ran out" in found.message


def test_another_process_of_the_group_was_killed():
    """A helper that was killed for memory does not explain an engine that failed by itself."""
    log = "RuntimeError: No CUDA GPUs are available"
    found = recognise(Evidence(log, signal_name="SIGABRT", killed_for_memory=True))
    assert found.code == "HW_NO_GPU"


# ggml-org/llama.cpp#20824; a build with AMX says so when it starts
AMX = "system_info: n_threads = 8 | AVX512 = 1 | AMX_INT8 = 1 | LLAMAFILE = 1 |"


@pytest.mark.parametrize(
    ("log", "end", "code"),
    [
        ("", {"signal_name": "SIGILL"}, "ENGINE_ILLEGAL_INSTRUCTION"),
        ("", {"exit_code": 132}, "ENGINE_ILLEGAL_INSTRUCTION"),
        (AMX, {"signal_name": "SIGSEGV"}, "ENGINE_ILLEGAL_INSTRUCTION"),
        (
            "0x00007ffff776f515 in ggml_backend_amx_mul_mat(ggml_compute_params",
            {"exit_code": 139},
            "ENGINE_ILLEGAL_INSTRUCTION",
        ),
        ("", {"signal_name": "SIGBUS"}, "HOST_SHM"),
    ],
)
def test_signals(log, end, code):
    """A signal means something by itself, or with what the engine said of its build."""
    assert recognise(Evidence(log, **end)).code == code


def test_shared_memory_is_measured():
    """The problem says how large the shared memory is."""
    found = recognise(Evidence("", signal_name="SIGBUS", shm_bytes=64 * 2**20))
    assert found.measured == "64.0 MiB at /dev/shm"


def test_the_cause_far_above_the_last_line_is_quoted():
    """Engines trace back several times over; the line that explains is shown with the last ones."""
    trace = "\n".join(f"  File {number}" for number in range(100))
    found = recognise(Evidence(f"RuntimeError: No CUDA GPUs are available\n{trace}", exit_code=1))
    lines = found.message.splitlines()
    assert lines[1:3] == ["| RuntimeError: No CUDA GPUs are available", "| ..."]
    assert lines[-1] == "|   File 99"
    assert len(lines) == 8


def test_long_lines_are_cut_but_not_the_cause():
    """A line of four thousand characters is quoted from where it begins to explain."""
    log = f"{'x' * 3900} libcuda.so.1: cannot open shared object file {'y' * 100}"
    found = recognise(Evidence(f"{log}\n" + "z\n" * 9, exit_code=1))
    assert len(found.message) < 2000
    assert found.message.splitlines()[1].startswith("| libcuda.so.1: cannot open")


def test_last_words():
    """Five lines, and nothing for an empty log."""
    assert last_words("") == ""
    assert last_words("\n".join("abcdefg")) == "\n| c\n| d\n| e\n| f\n| g"
