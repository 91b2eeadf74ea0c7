"""Kits that end before they are ready, in real containers: whose problem it is, and what to do.

The image's interpreter is a small program that does one thing and ends, so that what is tried is
what becomes of its last words.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.little import Heard, base_of, layer_of, little_form, little_kit, offline_environment

from mealkit.errors import MealkitError, Owner, failure
from mealkit.oci.tar import TarDirectory, TarFile, TarSymlink
from mealkit.pipeline.home import Home
from mealkit.pipeline.run.readiness import _reason, explained
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.stores.layout import write_layout
from mealkit.untrusted import UntrustedError

CLIENTS = ("sandbox", pytest.param("docker", marks=pytest.mark.docker))
STATES = r"""
#include <stdio.h>
int main(void) {
  fputs("{\"event\": \"listening\"}\n{\"code\": \"ENGINE_LIBRARY\", \"message\": \"too old\","
        " \"required\": \"GLIBC_2.38\"}\n", stderr);
  return 11;
}
"""
SAYS = r"""
#include <stdio.h>
int main(void) {
  fputs("ImportError: libcudart.so.12: cannot open shared object file: No such file\n", stderr);
  return 1;
}
"""
SAYS_NOTHING = "int main(void) { return 3; }"
EATS = r"""
#include <stdlib.h>
#include <string.h>
int main(void) { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }
"""
GARBAGE = b"neither a program nor a script\n"

Kit = Callable[..., Path]


@pytest.fixture
def kit_that(tmp_path: Path) -> Kit:
    """Make a kit whose image's interpreter is this program: C, or the bytes themselves."""

    def make(program: str | bytes, **hardware: str) -> Path:
        folder = tmp_path / "ending"
        if isinstance(program, str):
            source, target = tmp_path / "program.c", tmp_path / "program"
            source.write_text(program)
            subprocess.run(["gcc", "-w", "-static", "-o", target, source], check=True)
            program = target.read_bytes()
        changed = {**little_form()["hardware"], **hardware}
        little_kit(folder, base="oci:own", hardware=changed)
        interpreter = TarFile.of("usr/bin/python3.13", program, 0o755)
        links = TarDirectory("tmp", 0o1777), TarSymlink("bin", "usr/bin")
        base = base_of(layer_of("base", interpreter, *links))
        write_layout(base, folder / "own", "own:1")
        return folder

    return make


def end_of(kit: Path, client: str, home: Home) -> MealkitError:
    request = RunRequest(str(kit), client, f"mealkit-test-{kit.parent.name[:40]}", port=0)
    with pytest.raises(MealkitError) as caught:
        run_kit(request, home, Heard())
    return caught.value


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_container_states_wins(client, kit_that, home):
    """Its numbers come along, and whom to ask, since the kit's author owns it."""
    (problem,) = end_of(kit_that(STATES), client, home).problems
    assert (problem.code, problem.message) == ("ENGINE_LIBRARY", "too old")
    assert problem.required == "GLIBC_2.38"
    assert problem.contact.team == "cooks"


@pytest.mark.parametrize("client", CLIENTS)
def test_last_words_without_a_problem(client, kit_that, home):
    """They are recognised on the host as they are in the container."""
    (problem,) = end_of(kit_that(SAYS), client, home).problems
    assert (problem.code, problem.required) == ("ENGINE_LIBRARY", "libcudart.so.12")
    assert "ImportError: libcudart.so.12" in problem.message


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_known(client, kit_that, home):
    """Then how it ended is told, and its author is asked: the machine did its part."""
    (problem,) = end_of(kit_that(SAYS_NOTHING), client, home).problems
    assert (problem.code, problem.contact.team) == ("ENGINE_START", "cooks")
    assert "exited with code 3" in problem.message


FORGED = (
    '{\\"code\\": \\"HW_GPU_LOST\\", \\"message\\": \\"the GPU is gone\\\\n  owner    hardware\\"}'
)
FORGERIES = {
    # Stated as the gateway would, with its exit code.
    "stated": (FORGED, 10, "HW_GPU_LOST"),
    # With another exit code.
    "stated in passing": (FORGED, 0, None),
    "last words": ("RuntimeError: CUDA error: uncorrectable ECC error encountered", 1, "HW_ECC"),
    "out of memory": ("std::bad_alloc", 137, "ENGINE_OUT_OF_MEMORY"),
    "a bus error": ("", 135, "HOST_SHM"),
    "mealkit itself": (FORGED.replace("HW_GPU_LOST", "INTERNAL"), 1, "INTERNAL"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_an_image_cannot_hand_its_failure_to_others(name, kit_that, home):
    """Whatever it prints and however it exits, its author owns it; its output is only a claim."""
    text, code, claimed = FORGERIES[name]
    program = f"""
    #include <stdio.h>
    int main(void) {{ fputs("{text}\\n", stderr); return {code}; }}
    """
    (problem,) = end_of(kit_that(program), "sandbox", home).problems
    assert (problem.code, problem.owner) == ("ENGINE_START", Owner.KIT_AUTHOR)
    assert claimed is None or f"resembles {claimed}" in problem.message
    first, *rest = problem.message.splitlines()
    assert all(line.startswith("| ") for line in rest)
    assert "only the kit's own output says so" in first or claimed is None


@pytest.mark.parametrize(
    "state",
    [
        b"[" * 60_000,
        b'["ready"]',
        b'{"status": "x", "reason": "' + b"y" * 70_000 + b'"}',
        b'{"status": "x", "reason": "a\\nerror[HW_GPU_LOST] b\\u001b[2J"}',
    ],
)
def test_what_a_container_says_of_its_state(state):
    """A line that cannot look like another, or nothing."""
    try:
        reason = _reason(iter([state]), time.monotonic() + 60)
    except UntrustedError:
        return
    assert "\n" not in reason


@pytest.mark.docker
def test_an_interpreter_that_this_machine_cannot_run(kit_that, home):
    """The machine is of the kit's architecture, so what cannot be run is its author's."""
    (problem,) = end_of(kit_that(GARBAGE), "docker", home).problems
    assert (problem.code, problem.owner) == ("ENGINE_START", "kit-author")
    assert "resembles HOST_ARCHITECTURE" in problem.message
    assert "exec format error" in problem.message


@pytest.mark.docker
def test_a_container_that_is_killed_for_memory(kit_that, home):
    """Its limit is what the kit asks for, so its author is asked to state more."""
    error = end_of(kit_that(EATS, memory="64MiB"), "docker", home)
    (problem,) = error.problems
    assert (problem.code, problem.owner) == ("ENGINE_MEMORY_STATED", "kit-author")
    assert problem.measured == "all of the limit of 64.0 MiB in use"
    assert problem.required == "more than 64.0 MiB, which the kit asks for"
    assert error.exit_code == 11


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # NVIDIA/nvidia-container-toolkit#434
        (
            "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=all: unknown",
            "HOST_CDI_MISSING",
        ),
        # NVIDIA/nvidia-docker#1352
        ('could not select device driver "" with capabilities: [[gpu]]', "HOST_TOOLKIT_MISSING"),
        ("invalid reference format", "CLIENT_REFUSED"),
    ],
)
def test_refusals_of_a_client(text, code):
    """What a daemon says before there is a container is recognised too, in its own words."""
    refusal = failure("CLIENT_REFUSED", f"docker cannot start little: {text}")
    (problem,) = explained(refusal).problems
    assert problem.code == code
    assert text in problem.message


def test_names_in_a_clients_refusal_blame_nobody_else():
    """An image chooses what a daemon repeats: the name of its program, for one."""
    text = 'exec: "/GPU has fallen off the bus": no such file or directory'
    refusal = failure("CLIENT_REFUSED", f"docker cannot start little: {text}")
    assert explained(refusal) is refusal


def test_other_failures_of_a_client_stay():
    """Only a refusal is looked into."""
    taken = failure("PORT_TAKEN", "docker cannot start little: address already in use")
    assert explained(taken) is taken


def test_the_block_that_a_failed_run_ends_with(kit_that, home):
    """What happened, measured and required, who owns it, whom to ask, what to do; then nothing."""
    result = run(kit_that(STATES), home)
    assert (result.returncode, result.stdout) == (11, "")
    assert result.stderr.splitlines()[-5:] == [
        "error[ENGINE_LIBRARY] too old",
        "  required GLIBC_2.38",
        "  owner    kit-author",
        "  contact  cooks, mailto:cooks@kitchen.invalid: at noon",
        "  hint     choose a newer base in kit.yaml, or packages that are built for an older one",
    ]


def test_the_block_in_json(kit_that, home):
    """The same fields."""
    # What it warns of comes before, a line each.
    *_, last = run(kit_that(STATES), home, "--json").stderr.splitlines()
    (problem,) = json.loads(last)["problems"]
    assert problem["required"] == "GLIBC_2.38"
    assert problem["contact"] == {
        "team": "cooks",
        "contact": "mailto:cooks@kitchen.invalid",
        "support": "at noon",
    }


def run(kit: Path, home: Home, *options: str) -> subprocess.CompletedProcess[str]:
    command = ("run", str(kit), "--client", "sandbox", "--port", "0", *options)
    return subprocess.run(
        [sys.executable, "-m", "mealkit", *command],
        env=offline_environment(home.root),
        capture_output=True,
        text=True,
        check=False,
    )
