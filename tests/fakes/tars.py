"""Tars and layers as a stranger might write them, header by header."""

import gzip
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fakes.little import OFFLINE
from fakes.peak import PEAK_KIB
from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Image, Layer, image_of
from mealkit.stores.layout import write_layout

END = bytes(1024)


def block(name: bytes, size: int | bytes = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """One header block; ``size`` as bytes is written as it is."""
    stated = size if isinstance(size, bytes) else b"%011o\0" % size
    parts = [
        name.ljust(100, b"\0"),
        fields.get("mode", b"0000644\0"),
        fields.get("uid", b"0000000\0"),
        b"0000000\0",
        stated,
        fields.get("mtime", b"00000000000\0"),
        b" " * 8,
        kind,
        fields.get("target", b"").ljust(100, b"\0"),
        fields.get("magic", b"ustar\x0000"),
        bytes(80),
        fields.get("prefix", b"").ljust(155, b"\0"),
        bytes(12),
    ]
    data = b"".join(parts)
    return data[:148] + b"%06o\0 " % sum(data) + data[156:]


def entry(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header and its data, padded."""
    return block(name, len(data), kind, **fields) + data + bytes(-len(data) % 512)


def record(keyword: str, value: bytes) -> bytes:
    """One pax record."""
    rest = b" %s=%s\n" % (keyword.encode(), value)
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def pax(*records: tuple[str, bytes], kind: bytes = b"x") -> bytes:
    """An extended header."""
    return entry(b"pax", b"".join(record(*item) for item in records), kind)


_ZEROS = 32 * 1024 * 1024


def packed_zeros(size: int, *around: bytes) -> bytes:
    """Gzip of bytes, many zeros, bytes: a few thousandths of their size, in several members."""
    many = gzip.compress(bytes(_ZEROS), mtime=0) * (size // _ZEROS)
    parts = [around[0] if around else b"", bytes(size % _ZEROS), b"".join(around[1:])]
    first, rest, last = (gzip.compress(part, mtime=0) if part else b"" for part in parts)
    return (first + many + rest + last) or gzip.compress(b"", mtime=0)


def layer_of_bytes(
    data: bytes,
    media_type: str = LAYER,
    plain: bytes | None = None,
    annotations: dict[str, str] | None = None,
) -> Layer:
    """A layer of these bytes, which says that it unpacks to ``plain``."""
    diff_id = Digest.of(data if plain is None else plain)
    return Layer(media_type, BytesBlob(data), diff_id, "", annotations or {})


def image_with(layers: Sequence[Layer], annotations: dict[str, str] | None = None) -> Image:
    """An image of these layers."""
    config = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/x"]}}
    return image_of(config, tuple(layers), annotations or {})


def layout_of(
    folder: Path, layers: Sequence[Layer], annotations: dict[str, str] | None = None
) -> Path:
    """An OCI layout with one image of these layers."""
    write_layout(image_with(layers, annotations), folder)
    return folder


# Runs mealkit and says on the last line how much memory it took at most, in KiB.
_MEASURED = f"""{PEAK_KIB}
import sys
from mealkit.cli import main
code = 0
try:
    sys.argv[0] = "mealkit"
    main()
except SystemExit as end:
    code = end.code
finally:
    sys.stdout.flush()
    print(peak_kib())
sys.exit(code)
"""


def measured(home: Path, *arguments: object, cpu_seconds: int = 60) -> tuple[int, str, str, int]:
    """Run mealkit; return exit code, output, errors, and the most memory it had, in MiB."""
    import os  # noqa: PLC0415
    import resource  # noqa: PLC0415

    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **OFFLINE, "MEALKIT_HOME": str(home)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds)),
    )
    *lines, last = done.stdout.splitlines()
    return done.returncode, "\n".join(lines), done.stderr, int(last) // 1024
