"""Debian packages, made member by member: valid ones, and ones that must be refused."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from typing import Any

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes | str | None = None, **fields: Any) -> Member:
    """Make a member of data.tar: a file of bytes, a link to a str, or a folder."""
    info = tarfile.TarInfo(f"./{name}")
    info.mode = 0o755
    info.type = tarfile.DIRTYPE
    if isinstance(content, str):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, content, 0o777
    elif content is not None:
        info.type, info.size, info.mode = tarfile.REGTYPE, len(content), 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content if isinstance(content, bytes) else b""


def tar_of(*members: Member) -> bytes:
    """Return a tar of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def ar_of(*members: tuple[str, bytes]) -> bytes:
    """Return an ar archive of these members, which a .deb is."""
    body = b"!<arch>\n"
    for name, content in members:
        body += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        body += b"\n" * (len(content) % 2)
    return body


def control_of(name: str, version: str = "1.0", architecture: str = "amd64") -> bytes:
    """Return what a package says of itself."""
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: small\n"
    ).encode()


def deb_of(name: str, *members: Member, suffix: str = ".xz", version: str = "1.0") -> bytes:
    """Make a whole .deb."""
    control = control_of(name, version)
    parts = [member("control", control)]
    if members:
        parts.append(member("md5sums", b"00  usr/bin/x\n"))
    packs: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.compress, ".gz": gzip.compress}
    pack = packs.get(suffix, bytes)
    return ar_of(
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(tar_of(*parts))),
        (f"data.tar{suffix}", pack(tar_of(*members))),
    )
