"""A Python that starts in a root of its own: the one that runs the tests, with what it needs."""

import re
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

PYTHON = "{}.{}".format(*sys.version_info)
_LIBRARIES = "usr/lib/machine"
LOADER = f"{_LIBRARIES}/ld-linux-x86-64.so.2"


@cache
def python_files() -> dict[str, bytes]:
    """Return its program, loader, libraries, encodings and top modules, by their paths."""
    program = Path(sys.executable).resolve()
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    modules = Path(sysconfig.get_path("stdlib"))
    found = {f"usr/bin/python{PYTHON}": program}
    for path in map(Path, re.findall(r"(/\S+) \(0x", said)):
        is_loader = path.name.startswith("ld-linux")
        found[LOADER if is_loader else f"{_LIBRARIES}/{path.name}"] = path
    for path in [*modules.glob("*.py"), *modules.glob("encodings/*.py")]:
        found[f"usr/lib/python{PYTHON}/{path.relative_to(modules)}"] = path
    return {place: path.read_bytes() for place, path in found.items()}
