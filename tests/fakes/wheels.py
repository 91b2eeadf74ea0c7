"""Wheels made on the spot, valid unless asked otherwise."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    requires: str = "",
    record: Mapping[str, bytes] | None = None,
    executable: tuple[str, ...] = (),
) -> Path:
    """Write a wheel; ``record`` overrides what RECORD is computed from."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    members = {
        **files,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    rows = []
    for path, data in {**members, **(record or {})}.items():
        found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={found},{len(data)}\n")
    rows.append(f"{info}/RECORD,,\n")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**members, f"{info}/RECORD": "".join(rows).encode()}.items():
            item = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            item.external_attr = (0o755 if path in executable else 0o600) << 16
            archive.writestr(item, data)
    return target
