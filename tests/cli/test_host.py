"""mealkit host: what this machine is, in lines for people and as JSON for other machines."""

import json

import pytest
from fakes.machines import MACHINES, driver_of, machine
from typer.testing import CliRunner

from mealkit.cli.host import describe
from mealkit.cli.program import app
from mealkit.preflight.facts import Facts, parse_facts


@pytest.fixture
def host(tmp_path):
    """Run the verb over the driver of a recorded machine."""

    def run(name: str, *options: str) -> str:
        with driver_of(MACHINES / f"{name}.machine"):
            result = CliRunner().invoke(app, ["--home", str(tmp_path), "host", *options])
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    return run


def test_json_is_the_model(host, tmp_path):
    """The JSON is facts, with the disks that matter and every container client."""
    facts = parse_facts(host("a100x2", "--json").encode(), "stdout")
    assert [gpu.name for gpu in facts.nvidia.gpus] == 2 * ["NVIDIA A100-SXM4-40GB"]
    paths = [str(disk.path) for disk in facts.disks]
    assert (paths[0], paths[-1]) == (str(tmp_path), "/")
    assert [item.name for item in facts.clients] == ["docker", "podman", "sandbox"]
    assert all(item.problem or item.name == "sandbox" or item.version for item in facts.clients)


@pytest.mark.docker
def test_the_engine_describes_itself(host):
    """Docker's version, runtimes and the disk of its images are told."""
    facts = Facts.model_validate_json(host("l4", "--json"))
    docker = facts.clients[0]
    assert docker.problem is None
    assert docker.version[0].isdigit()
    assert "runc" in docker.runtimes
    if docker.data_root:
        assert docker.data_root in [disk.path for disk in facts.disks]


def test_an_engine_that_does_not_answer(host, tmp_path, monkeypatch):
    """An engine that is not there is a fact with its reason, not a failure."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    docker = json.loads(host("l4", "--json"))["clients"][0]
    assert docker["problem"]
    assert docker["version"] is None


def test_lines_for_people(host):
    """A row for each GPU, with its memory; nothing of it that a driver cannot tell."""
    text = host("h100x8")
    assert "driver 535.161.08, CUDA 12.2, NVML 12.535.161.08" in text
    assert text.count("NVIDIA H100 80GB HBM3  9.0         79.1 GiB  79.6 GiB") == 8
    assert "Not Supported" not in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("held", ["58130", "/usr/bin/python", "19.8 GiB"]),
        ("mig", ["0.1", "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d", "19.6 GiB"]),
        ("mig-container", ["Insufficient Permissions"]),
        ("gb10", ["uses the machine's memory", "119.7 GiB"]),
        ("ecc-fault", ["1 uncorrectable memory errors, bad memory is replaced at the next reset"]),
        ("gpu-lost", ["fell off the bus", "GPU is lost"]),
        ("version-mismatch", ["driver 535.161.08, NVML 12.550.90.07, version-mismatch"]),
        ("no-driver", ["no-driver (Driver Not Loaded (NVML error 9))"]),
    ],
)
def test_what_is_wrong_is_said(name, words):
    """Each fault of a machine is visible in the lines for people."""
    text = "\n".join(describe(machine(name)))
    assert [word for word in words if word not in text] == []
