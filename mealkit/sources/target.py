"""The Python and platform that wheels are chosen for: uv's name of it, its tags, its markers."""

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# The oldest glibc that wheels of a machine can be built for (PEP 600).
_OLDEST_MINOR = {"x86_64": 5, "aarch64": 17}
# Older names of three of the platforms (PEP 600).
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
# The minor versions of glibc that uv knows as platforms, up to its newest.
_UV_MINORS = (17, 28, *range(31, 41))


@dataclass(frozen=True, slots=True)
class WheelTarget:
    """A CPython on a glibc Linux, for instance ``WheelTarget("3.13", "amd64", "2.41")``."""

    python: str
    architecture: str
    glibc: str

    @property
    def machine(self) -> str:
        """The architecture as Python and wheels say it."""
        return _MACHINES.get(self.architecture, self.architecture)

    @property
    def uv_platform(self) -> str:
        """The newest of uv's platforms that this glibc can run."""
        minors = [minor for minor in _UV_MINORS if minor <= self._glibc_minor]
        return f"{self.machine}-manylinux_2_{max(minors, default=17)}"

    def tags(self) -> list[Tag]:
        """Return the tags of wheels that run here, best first (PEP 425, PEP 600)."""
        version = tuple(int(part) for part in self.python.split("."))[:2]
        interpreter = f"cp{version[0]}{version[1]}"
        platforms = list(self._platforms())
        return [
            *cpython_tags(version, abis=[interpreter], platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        ]

    def holds(self, marker: str | None) -> bool:
        """Tell whether an environment marker is true here (PEP 508).

        Raises:
            packaging.markers.InvalidMarker: the text is not a marker.
        """
        if marker is None:
            return True
        environment = {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }
        return Marker(marker).evaluate(environment)

    @property
    def _glibc_minor(self) -> int:
        return int(self.glibc.split(".")[1])

    def _platforms(self) -> Iterator[str]:
        oldest = _OLDEST_MINOR.get(self.machine, 17)
        for minor in range(self._glibc_minor, oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _ALIASES:
                yield f"{_ALIASES[minor]}_{self.machine}"
        yield f"linux_{self.machine}"
