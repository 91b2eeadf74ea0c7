"""The GPUs that a kit could use."""

import pytest
from fakes.machines import machine, made_facts

from mealkit.preflight.devices import (
    Device,
    devices_of,
    largest,
    show_capability,
    show_optional,
    titles,
)
from mealkit.preflight.nvidia import GpuProcess

GIB = 2**30


def devices(*sizes):
    return [
        Device(f"GPU {index}, L4", "NVIDIA", total_bytes=size) for index, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "count", "found"),
    [
        ((), 1, None),
        ((4, 8, 6), 1, 8),
        ((4, 8, 6), 2, 6),
        ((4, 8, 6), 9, 4),
        ((4, None, 6), 1, None),
    ],
)
def test_the_least_of_the_largest(sizes, count, found):
    """It is unknown as soon as one of them is."""
    assert largest(devices(*sizes), count) == found


def test_equal_devices_are_counted():
    """Names come in the order in which they are first seen."""
    mixed = [*devices(1, 1), Device("/dev/kfd", "AMD"), *devices(1)]
    assert titles(mixed) == "3 x L4, /dev/kfd"
    assert titles([]) == ""


def test_device_files_without_a_driver_count():
    """A file that no driver describes is a GPU of which nothing is known, of each maker."""
    found = devices_of(made_facts(gpu_devices=("kfd", "nvidia0", "nvidia1")))
    assert [(item.title, item.maker) for item in found] == [
        ("/dev/nvidia0", "NVIDIA"),
        ("/dev/nvidia1", "NVIDIA"),
        ("/dev/kfd", "AMD"),
    ]
    assert {item.total_bytes for item in found} == {None}


def test_a_machine_without_gpus_has_none():
    """No device file, no driver, no device."""
    assert devices_of(made_facts(gpu_devices=())) == ()


def test_gpus_of_a_recorded_machine():
    """What the driver keeps for itself is not counted, and each has its number."""
    facts = machine("a100x2")
    found = devices_of(facts)
    assert [item.title.partition(",")[0] for item in found] == ["GPU 0", "GPU 1"]
    for device, gpu in zip(found, facts.nvidia.gpus, strict=True):
        assert gpu.memory_total_bytes is not None
        assert device.total_bytes == gpu.memory_total_bytes - (gpu.memory_reserved_bytes or 0)


def test_who_holds_the_memory():
    """The one that holds most comes first; one that nobody sees is named as such."""
    small = GpuProcess(pid=1, name="small", kinds=("compute",), memory_bytes=GIB, unknown={})
    hidden = GpuProcess(
        pid=2, name=None, kinds=("compute",), memory_bytes=2 * GIB, unknown={"name": "hidden"}
    )
    device = Device("GPU 0", "NVIDIA", processes=(small, hidden))
    first, second = device.holders.split(", ")
    assert "(process 2)" in first
    assert "2.0 GiB" in first
    assert second.startswith("small (process 1)")
    assert Device("GPU 0", "NVIDIA").holders == ""


def test_unknown_values_are_said():
    """No number stands for what is not known."""
    assert (show_capability(None), show_capability((9, 0))) == ("unknown", "9.0")
    assert (show_optional(None), show_optional(0)) == ("unknown", "0 B")
