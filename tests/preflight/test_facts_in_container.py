"""Facts inside a real image, with its own Python and packages, and a driver as NVIDIA mounts it."""

import platform
import uuid
from pathlib import Path

import pytest
from fakes.little import Heard
from fakes.machines import LIBRARY, MACHINES, lines_of, machine, stand_in
from fakes.served import PATIENCE_SECONDS, copy_of_demo

from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.preflight.facts import parse_facts
from mealkit.preflight.nvidia import Access
from mealkit.stores.docker_load import load
from mealkit.stores.local import LocalStore

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("facts-image")]

MIB = 1024**2
PROGRAM = """
import resource, sys, time
began = time.perf_counter()
from mealkit.preflight.facts import read_facts
imported = time.perf_counter()
facts = read_facts()
done = time.perf_counter()
asked = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
times = f"imports {imported - began:.3f} s, facts {done - imported:.3f} s"
print(f"{times}, of that {asked:.3f} s of a processor to ask the driver", file=sys.stderr)
print(facts.model_dump_json())
"""
# Where NVIDIA's toolkit mounts the driver's libraries in an image of Debian's.
MOUNTED = f"/usr/lib/{platform.machine()}-linux-gnu/{LIBRARY}"


@pytest.fixture(scope="module")
def image(tmp_path_factory, test_cache):
    """The example kit's image in the engine, built with what the gateway needs today."""
    import docker  # noqa: PLC0415

    root = tmp_path_factory.mktemp("facts-image")
    files = test_cache / "home" / "files"
    files.mkdir(parents=True, exist_ok=True)
    (root / "home").mkdir()
    (root / "home" / "files").symlink_to(files)
    home = home_at(root / "home")
    kit = copy_of_demo(root / "kit")
    report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    tag = f"mealkit-test-facts-{uuid.uuid4().hex[:12]}:1"
    client = docker.from_env(timeout=PATIENCE_SECONDS)
    load(LocalStore(home.store).image(str(report.digest)), [tag], client)
    yield client, tag
    client.images.remove(tag, force=True)
    client.close()


@pytest.fixture
def read_inside(image):
    """Read the facts in a container that was given the driver of a recorded machine."""
    client, tag = image

    def read(name: str | None):
        interpreter = client.images.get(tag).attrs["Config"]["Entrypoint"][0]
        recording = MACHINES / f"{name}.machine"
        volumes, environment = {}, {}
        if name:
            abi = lines_of(recording.read_text()).get("abi", "580")
            volumes = {
                str(stand_in(abi) / LIBRARY): {"bind": MOUNTED, "mode": "ro"},
                str(recording): {"bind": "/etc/recorded.machine", "mode": "ro"},
            }
            environment = {"MEALKIT_NVML_MACHINE": "/etc/recorded.machine"}
        container = client.containers.create(
            tag,
            command=["-c", PROGRAM],
            entrypoint=[interpreter, "-s", "-P"],
            volumes=volumes,
            environment=environment,
            network_mode="none",
            read_only=True,
            mem_limit=512 * MIB,
            cap_drop=["ALL"],
        )
        try:
            container.start()
            ended = container.wait(timeout=PATIENCE_SECONDS)
            out, err = (
                container.logs(stdout=stdout, stderr=not stdout) for stdout in (True, False)
            )
        finally:
            container.remove(force=True)
        assert ended["StatusCode"] == 0, err.decode()
        print(f"{name}: {err.decode().strip()}")
        return parse_facts(out, where=str(name))

    return read


@pytest.mark.parametrize(
    "name", ["a100x2", "held", "mig-container", "v100-old-driver", "ecc-fault", "gpu-lost"]
)
def test_the_image_sees_what_the_host_sees(read_inside, name):
    """Inside, the same code and NVIDIA's client give the same GPUs as outside."""
    inside, outside = read_inside(name), machine(name)
    assert inside.nvidia.access is Access.OK
    assert inside.nvidia.gpus == outside.nvidia.gpus
    assert (inside.nvidia.cuda, inside.nvidia.library) == (
        outside.nvidia.cuda,
        outside.nvidia.library,
    )


def test_what_a_container_limits(read_inside):
    """Memory and shared memory are those that the container was given; no driver was mounted."""
    facts = read_inside(None)
    assert facts.memory_limit_bytes == 512 * MIB
    assert facts.usable_memory_bytes == 512 * MIB
    assert facts.shm.total_bytes == 64 * MIB  # the engine's default
    assert facts.cpu.count
    assert facts.nvidia.access is Access.NO_LIBRARY or Path("/dev/nvidiactl").exists()


def test_unified_memory_inside(read_inside):
    """A GPU that uses the machine's memory shows the machine's, not the container's limit."""
    facts = read_inside("gb10")
    (gpu,) = facts.nvidia.gpus
    assert gpu.unified_memory
    assert gpu.memory_total_bytes == facts.memory_total_bytes
