"""Every check alone: what passes, what warns, what blocks, what is unknown, what is not asked."""

from pathlib import Path

import pytest
from fakes.machines import made_facts
from fakes.needs import GIB, SEVEN, SEVENTY, SEVENTY_4BIT, cpu_needs, gpu_needs

from mealkit.errors import CATALOGUE
from mealkit.preflight.amd import Amd, AmdGpu
from mealkit.preflight.container_client import Client
from mealkit.preflight.disk import Disk, SharedMemory
from mealkit.preflight.finding import Context, Severity
from mealkit.preflight.nvidia import Access, GpuProcess, Nvidia, NvidiaGpu, Slice
from mealkit.preflight.run import CHECKS, preflight
from mealkit.preflight.toolkit import CdiSpec, Toolkit
from mealkit.preflight.ulimits import Ulimits
from mealkit.recipe.kit import Architecture, Gpu
from mealkit.recipe.requirements import Demand

PASSES, WARNS, BLOCKS = Severity.PASSES, Severity.WARNS, Severity.BLOCKS
MIB = 2**20
INSIDE = Context(inside=True)


def gpu(index=0, **changes):
    """An A100 with 40 GB, idle and sound."""
    values = {
        "index": index,
        "lost": False,
        "name": "A100",
        "compute_capability": (8, 0),
        "memory_total_bytes": 40_960 * MIB,
        "memory_free_bytes": 40_334 * MIB,
        "memory_reserved_bytes": 620 * MIB,
        "mig_enabled": False,
        "ecc_enabled": True,
        "ecc_uncorrected": 0,
        "remap_pending": False,
        "remap_failed": False,
    }
    return NvidiaGpu(**(values | changes))


def nvidia(*gpus, **changes):
    values = {
        "access": Access.OK,
        "reason": None,
        "driver": "550.54.15",
        "library": "12.550.54.15",
        "cuda": (12, 4),
        "libcuda": True,
        "count": len(gpus),
        "gpus": gpus,
    }
    return Nvidia(**(values | changes))


def server(*gpus, **changes):
    """A server with these GPUs, one A100 if none is named."""
    found = gpus or (gpu(),)
    values = {
        "memory_total_bytes": 64 * GIB,
        "memory_available_bytes": 60 * GIB,
        "gpu_devices": tuple(f"nvidia{index}" for index in range(len(found))),
        "nvidia": nvidia(*found),
    }
    return made_facts(**(values | changes))


def look(code, facts, needs, context=None):
    """The finding of one check; None if it had nothing to say."""
    found = [item for item in preflight(facts, needs, context).findings if item.code == code]
    assert len(found) <= 1
    return found[0] if found else None


def severity(code, facts, needs, context=None):
    finding = look(code, facts, needs, context)
    return finding and finding.severity


def test_every_check_is_in_the_catalogue():
    """Each has a code of its own, with an owner and a fix there, a rule and a source here."""
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert CATALOGUE[check.code].fix
        assert check.rule
        assert check.source


@pytest.mark.parametrize(("machine", "expected"), [("amd64", PASSES), ("arm64", BLOCKS)])
def test_architecture(machine, expected):
    """Another architecture's instructions cannot be run."""
    facts = made_facts(architecture=machine)
    assert severity("HOST_ARCHITECTURE", facts, cpu_needs()) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PASSES),
        ({"memory_total_bytes": 7 * GIB}, WARNS),
        ({"memory_limit_bytes": 3 * GIB}, BLOCKS),
        ({"memory_available_bytes": GIB}, WARNS),
        ({"memory_total_bytes": None, "memory_available_bytes": None}, WARNS),
    ],
)
def test_memory(changes, expected):
    """8 GiB are estimated, 4 of them are weights; only less than the weights is certain."""
    assert severity("HOST_MEMORY", made_facts(**changes), cpu_needs()) is expected


@pytest.mark.parametrize(
    ("free", "context", "expected"),
    [
        (11 * GIB, Context(disk_path=Path("/store")), PASSES),
        (9 * GIB, Context(disk_path=Path("/store")), BLOCKS),
        (9 * GIB, Context(disk_path=Path("/store"), disk_bytes=GIB), PASSES),
        (None, Context(disk_path=Path("/store")), WARNS),
        (11 * GIB, Context(disk_path=Path("/elsewhere")), WARNS),
        # Nobody has said where on that machine.
        (11 * GIB, Context(), PASSES),
        (9 * GIB, Context(), WARNS),
        (9 * GIB, INSIDE, None),
    ],
)
def test_disk(free, context, expected):
    """Where it is known what will be written where, too little is certain."""
    facts = made_facts(disks=(Disk(path=Path("/store"), free_bytes=free, total_bytes=None),))
    assert severity("HOST_DISK", facts, cpu_needs(), context) is expected
    assert severity("HOST_DISK", made_facts(), cpu_needs()) is None


def test_folders_that_are_closed():
    """A folder that must be written to and cannot be ends it."""
    context = Context(closed_folders={"/store": "user 65532 may not write to /store"})
    finding = look("DISK_DENIED", made_facts(), cpu_needs(), context)
    assert (finding.severity, finding.measured) == (BLOCKS, "user 65532 may not write to /store")
    assert look("DISK_DENIED", made_facts(), cpu_needs()) is None


AMD = Amd(
    kfd=True,
    gpus=(AmdGpu(node=1, target="gfx942", memory_total_bytes=192 * GIB, memory_used_bytes=GIB),),
)


@pytest.mark.parametrize(
    ("facts", "needs", "expected", "measured"),
    [
        (server(), gpu_needs(), PASSES, "A100"),
        (server(gpu(0), gpu(1)), gpu_needs(), PASSES, "2 x A100"),
        (made_facts(), gpu_needs(), BLOCKS, "none"),
        (made_facts(nvidia=nvidia()), gpu_needs(), BLOCKS, "none (NVIDIA's driver 550.54.15"),
        # Another maker's: certain for packages of CUDA, in doubt for others.
        (made_facts(amd=AMD, gpu_devices=("kfd",)), gpu_needs(), BLOCKS, "AMD gfx942"),
        (made_facts(amd=AMD, gpu_devices=("kfd",)), gpu_needs(packages=()), WARNS, "AMD gfx942"),
        (made_facts(gpu_devices=("kfd",)), gpu_needs(packages=()), WARNS, "/dev/kfd"),
        (made_facts(gpu_devices=("dxg",)), gpu_needs(), PASSES, "/dev/dxg"),
        (server(gpu(lost=True)), gpu_needs(), BLOCKS, "none"),
        (made_facts(), cpu_needs(), None, ""),
        (made_facts(), gpu_needs(gpu=Gpu.OPTIONAL), None, ""),
    ],
)
def test_gpu(facts, needs, expected, measured):
    """A GPU that is required must be seen, and be of the maker that packages are for."""
    finding = look("HW_NO_GPU", facts, needs)
    assert (finding and finding.severity) is expected
    assert finding is None or finding.measured.startswith(measured)


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({}, "HOST_DRIVER_MISSING", PASSES),
        # CUDA may work all the same.
        ({"access": Access.NO_LIBRARY, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.NO_CLIENT, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.TIMED_OUT, "count": 2}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.NO_DRIVER, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", BLOCKS),
        ({"libcuda": False}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.VERSION_MISMATCH}, "HOST_DRIVER_MISSING", None),
        ({"access": Access.VERSION_MISMATCH}, "HOST_NVML_MISMATCH", BLOCKS),
        ({}, "HOST_NVML_MISMATCH", None),
    ],
)
def test_driver_that_answers(changes, code, expected):
    """No driver, or one that contradicts its libraries, is certain; silence is not."""
    values = {"reason": "so it said"} | changes
    facts = server(nvidia=nvidia(gpu(), **values))
    assert severity(code, facts, gpu_needs()) is expected


def test_no_libcuda_in_the_container():
    """There the engine would have to load it."""
    facts = server(nvidia=nvidia(gpu(), libcuda=False))
    finding = look("HOST_DRIVER_MISSING", facts, gpu_needs(), INSIDE)
    assert finding.severity is BLOCKS
    assert "NVIDIA_DRIVER_CAPABILITIES" in finding.remedy


@pytest.mark.parametrize(
    ("driver", "cuda", "expected"),
    [
        ("450.80.02", "11.8", PASSES),
        ("418.40.04", "11.0", BLOCKS),
        ("525.60.13", "12.8", PASSES),
        ("520.61.05", "12.0", BLOCKS),
        ("580.65.06", "13.0", PASSES),
        ("575.57.08", "13.0", BLOCKS),
        ("580.65.06", "14.0", WARNS),
        ("580.65.06", None, WARNS),
        (None, "12.4", WARNS),
    ],
)
def test_driver_floor(driver, cuda, expected):
    """Each major version of CUDA has its first driver."""
    finding = look(
        "HOST_DRIVER_OLD", server(nvidia=nvidia(gpu(), driver=driver)), gpu_needs(cuda=cuda)
    )
    assert finding.severity is expected
    assert finding.measured == (driver or "unknown")
    if expected is BLOCKS:
        assert finding.owner == "platform"


@pytest.mark.parametrize(
    ("count", "left", "lost", "number"),
    [(1, 1, None, None), (2, 2, None, PASSES), (2, 1, BLOCKS, BLOCKS), (1, 1, WARNS, None)],
)
def test_count(count, left, lost, number):
    """Too few are certain; one that fell off the bus is named, whether or not it is missed."""
    needs = gpu_needs(flags={"tensor_parallel_size": count})
    gone = [gpu(left, lost=True)] if lost else []
    facts = server(*(gpu(index) for index in range(left)), *gone)
    assert severity("HW_GPU_COUNT", facts, needs) is number
    assert severity("HW_GPU_LOST", facts, needs) is lost


def test_gpus_that_no_driver_describes_are_counted():
    """Their device files are there."""
    facts = made_facts(gpu_devices=("nvidia0", "nvidia1"))
    needs = gpu_needs(flags={"tensor_parallel_size": 4})
    assert look("HW_GPU_COUNT", facts, needs).measured == "2"


@pytest.mark.parametrize(
    ("capability", "needs", "expected"),
    [
        ((7, 0), gpu_needs(), PASSES),
        ((6, 1), gpu_needs(), BLOCKS),
        ((7, 0), gpu_needs(SEVENTY_4BIT), BLOCKS),  # AWQ from 7.5 on
        ((7, 5), gpu_needs(SEVENTY_4BIT), PASSES),
        (None, gpu_needs(), WARNS),
        ((6, 1), gpu_needs(engine="transformers"), None),
    ],
)
def test_capability_of_the_engine(capability, needs, expected):
    """vLLM and its quantisations state the least; of others no limit is known."""
    facts = server(gpu(compute_capability=capability))
    assert severity("HW_COMPUTE_CAPABILITY", facts, needs) is expected


BUILT = {"torch 2.6.0": ("7.0", "8.0", "9.0")}


@pytest.mark.parametrize(
    ("capability", "built", "driver_cuda", "expected"),
    [
        ((8, 9), BUILT, (12, 4), PASSES),  # code for 8.0 runs on 8.9
        ((6, 1), BUILT, (12, 4), BLOCKS),
        ((12, 0), BUILT, (12, 8), BLOCKS),
        # From PTX, if the driver knows that CUDA.
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, (12, 8), PASSES),
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, (12, 2), WARNS),
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, None, WARNS),
        ((6, 1), {"torch 2.6.0": ("7.0+PTX",)}, (12, 4), BLOCKS),
        # One package is enough to fail; one that is not known leaves doubt.
        ((12, 0), {"torch 2.7.0": ("12.0",), "vllm 0.8.5": ("9.0",)}, (12, 8), BLOCKS),
        ((8, 0), {"torch 2.6.0": ("8.0",), "flash-attn 2.7.4": None}, (12, 4), WARNS),
        ((8, 0), {}, (12, 4), WARNS),
        (None, BUILT, (12, 4), WARNS),
    ],
)
def test_packages_built_for_the_gpu(capability, built, driver_cuda, expected):
    """Code for a GPU runs on it and on later ones of its generation; PTX is compiled for any."""
    facts = server(nvidia=nvidia(gpu(compute_capability=capability), cuda=driver_cuda))
    finding = look("HW_ARCHLIST", facts, gpu_needs(built_for=built))
    assert finding.severity is expected
    assert finding.owner == "kit-author"


@pytest.mark.parametrize(
    ("capability", "engine", "dtypes", "expected"),
    [
        ((8, 0), "vllm", ("bf16",), PASSES),
        ((7, 5), "vllm", ("bf16",), BLOCKS),  # vLLM refuses it
        ((7, 5), "transformers", ("bf16",), WARNS),  # PyTorch computes it in another way
        ((8, 0), "vllm", ("bf16", "fp8"), WARNS),
        ((7, 5), "vllm", ("bf16", "fp8"), BLOCKS),
        ((8, 9), "vllm", ("bf16", "fp8"), PASSES),
        ((9, 0), "vllm", ("fp4",), WARNS),
        ((7, 0), "vllm", ("fp16",), None),
        (None, "vllm", ("bf16",), WARNS),
    ],
)
def test_dtype(capability, engine, dtypes, expected):
    """A type that the engine refuses is certain; one that is slow is not."""
    facts = server(gpu(compute_capability=capability))
    assert severity("HW_DTYPE", facts, gpu_needs(engine=engine, dtypes=dtypes)) is expected


@pytest.mark.parametrize(
    ("model", "gpus", "expected"),
    [
        (SEVENTY, 2, PASSES),
        (SEVENTY, 16, PASSES),  # 64 heads; 8 of keys and values go to two GPUs each
        (SEVENTY, 3, BLOCKS),
        (SEVEN, 8, BLOCKS),  # 28 heads
        (SEVEN, 7, BLOCKS),  # 4 heads of keys and values
        (SEVENTY, 1, None),
    ],
)
def test_heads(model, gpus, expected):
    """Heads that do not divide are the kit's fault, on any machine."""
    needs = gpu_needs(model, flags={"tensor_parallel_size": gpus})
    finding = look("FIT_HEADS", server(*(gpu(index) for index in range(gpus))), needs)
    assert (finding and finding.severity) is expected
    assert finding is None or finding.owner == "kit-author"


def test_heads_of_an_unknown_model():
    """Cannot be divided by anyone."""
    demand = Demand(engine="vllm", context_tokens=1, tensor_parallel=2)
    needs = gpu_needs(None, demand=demand)
    assert severity("FIT_HEADS", server(gpu(0), gpu(1)), needs) is WARNS


def cut(*slices):
    return gpu(mig_enabled=True, slices=slices)


def part(index, gib):
    return Slice(
        index=index,
        name=f"MIG {index}",
        uuid=None,
        compute_slices=3,
        gpu_slices=3,
        multiprocessors=42,
        memory_total_bytes=gib * GIB,
        memory_free_bytes=gib * GIB,
    )


@pytest.mark.parametrize(
    ("facts", "gpus", "expected"),
    [
        (server(), 1, None),
        (server(cut(part(0, 20))), 1, PASSES),
        (server(cut(part(0, 20), part(1, 20))), 2, BLOCKS),
        (server(cut()), 1, BLOCKS),
    ],
)
def test_slices(facts, gpus, expected):
    """One slice can be used, several cannot, and a GPU that is cut has nothing beside them."""
    needs = gpu_needs(flags={"tensor_parallel_size": gpus})
    assert severity("HW_MIG", facts, needs) is expected


def test_memory_of_a_slice_counts():
    """Not that of the card it was cut from."""
    vram = look("FIT_VRAM", server(cut(part(0, 10))), gpu_needs())
    assert vram.severity is BLOCKS
    assert vram.measured == "9.0 GiB at most"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PASSES),
        ({"ecc_uncorrected": 2}, WARNS),
        ({"remap_pending": True}, WARNS),
        ({"retired_pages_pending": True}, WARNS),
        ({"remap_failed": True}, BLOCKS),
        ({"ecc_uncorrected": None}, WARNS),
        ({"ecc_enabled": None, "ecc_uncorrected": None}, PASSES),  # a card without
    ],
)
def test_errors_of_memory(changes, expected):
    """Errors leave doubt; memory that could not be replaced does not."""
    assert severity("HW_ECC", server(gpu(**changes)), gpu_needs()) is expected


HELD = GpuProcess(pid=7, name="python", memory_bytes=30 * GIB, kinds=("compute",))


@pytest.mark.parametrize(
    ("facts", "needs", "expected"),
    [
        (server(), gpu_needs(), PASSES),
        (server(gpu(memory_total_bytes=12 * GIB)), gpu_needs(), BLOCKS),
        (server(gpu(memory_free_bytes=9 * GIB, processes=(HELD,))), gpu_needs(), WARNS),
        (server(gpu(memory_free_bytes=None)), gpu_needs(), WARNS),
        (server(gpu(memory_total_bytes=None, memory_free_bytes=None)), gpu_needs(), WARNS),
        (made_facts(gpu_devices=("nvidia0",)), gpu_needs(), WARNS),
        (server(), gpu_needs(model=None), WARNS),
        (server(), gpu_needs(engine="house-made"), WARNS),
        # Only the first is taken; the largest says what is certain.
        (server(gpu(0, memory_free_bytes=GIB), gpu(1)), gpu_needs(), WARNS),
        (server(gpu(0, memory_total_bytes=12 * GIB), gpu(1)), gpu_needs(), WARNS),
        (made_facts(), gpu_needs(), None),
    ],
)
def test_gpu_memory(facts, needs, expected):
    """Weights that can never fit are certain; what others hold now, or is not known, is not."""
    assert severity("FIT_VRAM", facts, needs) is expected


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (gpu_needs(), PASSES),
        # 40 x 0.44 GiB of cache are 17.5, and 14.2 of weights: within the interval.
        (gpu_needs(concurrency=40), WARNS),
        # 100 x 0.44 GiB are more than the card: vLLM lets requests wait, others cannot.
        (gpu_needs(concurrency=100), WARNS),
        (gpu_needs(engine="transformers", concurrency=100), BLOCKS),
        # 14.0 GiB of cache in 32 bit, 14.2 of weights.
        (gpu_needs(flags={"max_model_len": 131072, "kv_cache_dtype": "f32"}), PASSES),
        # 70 GiB of cache for one request of ten times the length.
        (gpu_needs(flags={"max_model_len": 1_310_720}), BLOCKS),
        (gpu_needs(SEVENTY), None),  # its weights do not fit: nothing to say of a context
        (gpu_needs(model=None), None),
    ],
)
def test_context(needs, expected):
    """The pinned context must fit for one request; that all fit at a time is up to the engine."""
    finding = look("FIT_CONTEXT", server(), needs)
    assert (finding and finding.severity) is expected
    if expected in {WARNS, BLOCKS}:
        assert "tokens for sure" in finding.measured


def docker(**changes):
    values = {"name": "docker", "problem": None, "data_root": Path("/var/lib/docker")}
    return Client(**(values | changes))


CTK = Toolkit(programs={"nvidia-ctk": "/usr/bin/nvidia-ctk"}, cdi=())
CDI = Toolkit(programs={}, cdi=(CdiSpec(path=Path("/etc/cdi/n.yaml"), kind="nvidia.com/gpu"),))
OTHER = Toolkit(programs={}, cdi=(CdiSpec(path=Path("/etc/cdi/a.yaml"), kind="amd.com/gpu"),))
CLOSED = Toolkit(programs={}, cdi=(), unknown={"cdi": "/etc/cdi: Permission denied"})
NONE = Toolkit(programs={}, cdi=())


@pytest.mark.parametrize(
    ("client", "toolkit", "expected"),
    [
        (docker(), CTK, PASSES),
        (docker(runtimes=("nvidia", "runc")), NONE, PASSES),
        (docker(cdi_folders=(Path("/etc/cdi"),)), CDI, PASSES),
        (docker(), CDI, BLOCKS),  # it does not speak CDI
        (docker(), NONE, BLOCKS),
        (docker(data_root=None), NONE, WARNS),  # a daemon on another machine
        (Client(name="sandbox", problem=None), NONE, WARNS),
        (Client(name="podman", problem=None), NONE, None),
    ],
)
def test_toolkit(client, toolkit, expected):
    """Docker that knows no way to hand on GPUs will refuse."""
    facts = server(clients=(client,), toolkit=toolkit)
    assert severity("HOST_TOOLKIT_MISSING", facts, gpu_needs()) is expected
    assert severity("HOST_TOOLKIT_MISSING", facts, gpu_needs(), INSIDE) is None


@pytest.mark.parametrize(
    ("toolkit", "expected"), [(CDI, PASSES), (NONE, BLOCKS), (OTHER, BLOCKS), (CLOSED, WARNS)]
)
def test_cdi(toolkit, expected):
    """Podman asks for nvidia.com/gpu by name; a folder that cannot be read leaves doubt."""
    broken = docker(problem="it does not answer")
    podman = Client(name="podman", problem=None)
    facts = server(clients=(broken, podman), toolkit=toolkit)
    assert severity("HOST_CDI_MISSING", facts, gpu_needs()) is expected
    # Where docker is asked for by name, podman's specs do not matter.
    assert severity("HOST_CDI_MISSING", facts, gpu_needs(), Context(client="docker")) is None


@pytest.mark.parametrize(
    ("facts", "context", "expected"),
    [
        (server(), INSIDE, PASSES),
        (server(), Context(), None),
        (server(), Context(inside=True, closed_devices={"/dev/nvidia0": "closed"}), BLOCKS),
        (server(nvidia=nvidia(gpu(), access=Access.NO_PERMISSION)), Context(), WARNS),
    ],
)
def test_permissions(facts, context, expected):
    """A device file that is closed to the container is certain."""
    assert severity("HOST_PERMISSIONS", facts, gpu_needs(), context) is expected


@pytest.mark.parametrize(
    ("size", "gpus", "context", "expected"),
    [
        (16 * GIB, 2, INSIDE, PASSES),
        (64 * MIB, 2, INSIDE, WARNS),
        (None, 2, INSIDE, WARNS),
        (64 * MIB, 1, INSIDE, None),
        (64 * MIB, 2, Context(client="docker"), None),  # a container gets its own
        (64 * MIB, 2, Context(client="sandbox"), WARNS),
    ],
)
def test_shared_memory(size, gpus, context, expected):
    """Several GPUs' processes share it: too little often ends in a bus error, not always."""
    facts = server(gpu(0), gpu(1), shm=SharedMemory(total_bytes=size, free_bytes=size))
    needs = gpu_needs(flags={"tensor_parallel_size": gpus})
    assert severity("HOST_SHM", facts, needs, context) is expected


@pytest.mark.parametrize(
    ("changes", "context", "expected"),
    [
        ({}, INSIDE, PASSES),
        ({"open_files": 256}, INSIDE, WARNS),
        ({"stack_bytes": MIB}, INSIDE, WARNS),
        ({"memlock_bytes": 65536}, INSIDE, WARNS),
        ({"memlock_bytes": None, "stack_bytes": None, "open_files": None}, INSIDE, PASSES),
        ({"open_files": 256}, Context(client="sandbox"), WARNS),
        ({"open_files": 256}, Context(client="docker"), None),
    ],
)
def test_ulimits(changes, context, expected):
    """Low limits fail late; a container's are its own."""
    values = {"memlock_bytes": 8 * MIB, "open_files": 1024, "stack_bytes": 8 * MIB} | changes
    facts = server(gpu(0), gpu(1), ulimits=Ulimits(**values))
    needs = gpu_needs(flags={"tensor_parallel_size": 2})
    assert severity("HOST_ULIMIT", facts, needs, context) is expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, WARNS), (1.9e9, None), (None, None)])
def test_clock(seconds, expected):
    """A clock before this code was written is wrong; of a later one nothing is known."""
    context = Context(clock_seconds=seconds)
    assert severity("HOST_CLOCK", made_facts(), cpu_needs(), context) is expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (Context(port=8000, port_is_free=True), PASSES),
        (Context(port=8000, port_is_free=False), WARNS),
        (Context(port=8000, port_is_free=False, starting=True), BLOCKS),
        (Context(port=80, port_is_free=None), None),
        (Context(), None),
    ],
)
def test_port(context, expected):
    """Whoever only asks could choose another port; whoever starts has chosen."""
    assert severity("PORT_TAKEN", made_facts(), cpu_needs(), context) is expected


def test_optional_gpu_stops_nothing():
    """A kit that can do without a GPU is only warned of one that is too small."""
    needs = gpu_needs(gpu=Gpu.OPTIONAL)
    report = preflight(server(gpu(memory_total_bytes=12 * GIB)), needs)
    assert report.verdict.value == "uncertain"
    assert look("FIT_VRAM", server(gpu(memory_total_bytes=12 * GIB)), needs).severity is WARNS
    assert preflight(made_facts(memory_available_bytes=16 * GIB), needs).verdict.value == "fits"


def test_needs_of_an_older_kit_leave_doubts():
    """A kit that states only what kits first stated is not passed in silence on a GPU."""
    needs = cpu_needs(gpu=Gpu.REQUIRED, architectures=(Architecture.AMD64,))
    report = preflight(server(), needs)
    assert report.verdict.value == "uncertain"
    doubts = {item.code for item in report.findings if item.severity is WARNS}
    assert doubts == {"HOST_DRIVER_OLD", "HW_ARCHLIST", "FIT_VRAM"}
