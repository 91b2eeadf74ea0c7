"""The machine in general terms: enough to judge figures by, nothing that names it."""

import os
import platform
import subprocess
from pathlib import Path


def describe(scratch: Path) -> str:
    """Say what the figures were measured on."""
    parts = [
        f"{len(os.sched_getaffinity(0))} cores",
        "SHA-NI" if "sha_ni" in _text("/proc/cpuinfo") else "no SHA-NI",
        f"{_memory_gib()} GiB of memory",
        _file_system(scratch),
        f"Python {platform.python_version()}",
        _docker(),
    ]
    return ", ".join(part for part in parts if part)


def load_average() -> float:
    """Return the load of the last minute, which says how busy others keep the machine."""
    return os.getloadavg()[0]


def _memory_gib() -> int:
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3)


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, from /proc/self/mountinfo."""
    device = os.stat(path).st_dev  # noqa: PTH116  pathlib's says the same
    name = f"{os.major(device)}:{os.minor(device)}"
    for line in _text("/proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[2] == name:
            return fields[fields.index("-") + 1]
    return ""


def _docker() -> str:
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    version = done.stdout.strip().partition("+")[0]
    return f"Docker {version}" if version else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
