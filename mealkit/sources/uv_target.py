"""The properties of a Python and its platform for wheels: uv's platform name, tags, markers.

The Python is a CPython on a glibc Linux.
"""

from collections.abc import Iterator

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags

from mealkit.lock.kit_parts import PythonTarget

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# The oldest glibc that wheels for an architecture can be built for (PEP 600).
_OLDEST_MINOR = {"x86_64": 5, "aarch64": 17}
# Older names of three of the platforms (PEP 600).
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
# The minor versions of glibc that uv has as platforms, up to its newest.
_UV_MINORS = (17, 28, *range(31, 41))


def uv_platform(target: PythonTarget) -> str:
    """Return the newest of uv's platforms that the target's glibc can run."""
    minors = [minor for minor in _UV_MINORS if minor <= _glibc_minor(target)]
    return f"{_machine(target)}-manylinux_2_{max(minors, default=17)}"


def wheel_tags(target: PythonTarget) -> list[Tag]:
    """Return the tags of wheels that run on the target, best first (PEP 425, PEP 600)."""
    version = tuple(int(part) for part in target.python.split("."))[:2]
    interpreter = f"cp{version[0]}{version[1]}"
    platforms = list(_platforms(target))
    return [
        *cpython_tags(version, abis=[interpreter], platforms=platforms),
        *compatible_tags(version, interpreter=interpreter, platforms=platforms),
    ]


def marker_holds(marker: str | None, target: PythonTarget) -> bool:
    """Return whether an environment marker is true on the target (PEP 508).

    Raises:
        packaging.markers.InvalidMarker: the text is not a marker.
    """
    if marker is None:
        return True
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python}.0",
        "os_name": "posix",
        "platform_machine": _machine(target),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "sys_platform": "linux",
        "extra": "",
    }
    return Marker(marker).evaluate(environment)


def _machine(target: PythonTarget) -> str:
    """Return the architecture as Python and wheels name it."""
    return _MACHINES.get(target.architecture, target.architecture)


def _glibc_minor(target: PythonTarget) -> int:
    return int(target.glibc.split(".")[1])


def _platforms(target: PythonTarget) -> Iterator[str]:
    machine = _machine(target)
    for minor in range(_glibc_minor(target), _OLDEST_MINOR.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _ALIASES:
            yield f"{_ALIASES[minor]}_{machine}"
    yield f"linux_{machine}"
