"""The files of a container are read as they are now, without those of its engine and its mounts."""

import io
import tarfile
from pathlib import Path

from mealkit.containers.container_files import exported, unpacked_files
from mealkit.oci.untar import Kind


def shown(contents):
    return [
        (file.path, file.kind, file.target or b"".join(map(bytes, file.chunks)))
        for file in contents.files
    ]


def test_an_export_is_read_without_the_files_of_the_engine_and_of_mounts():
    """Docker adds .dockerenv and files of the network; a mounted file is only its mount point."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in (".dockerenv", "etc/hosts", "etc/own", "models/w.bin", "proc/1", "tmp/x"):
            item = tarfile.TarInfo(name)
            item.size = len(name)
            archive.addfile(item, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("etc/link")
        link.type, link.linkname = tarfile.SYMTYPE, "own"
        archive.addfile(link)
    attributes = {
        "Image": "sha256:ab",
        "Config": {
            "Env": ["A=b", "MEALKIT_IMAGE_DIGEST=sha256:12"],
            "Entrypoint": ["python3"],
            "Cmd": ["-m", "x"],
        },
        "Mounts": [
            {"Type": "bind", "Source": "/here/w.bin", "Destination": "/models/w.bin"},
            {"Type": "tmpfs", "Source": "", "Destination": "/var/lib/mealkit"},
        ],
    }
    found = exported(attributes, iter([out.getvalue()]))
    assert (found.image_id, found.stated) == ("ab", "sha256:12")
    assert found.entrypoint == ("python3", "-m", "x")
    assert [(item.source, item.target) for item in found.mounts] == [
        (Path("/here/w.bin"), "/models/w.bin")
    ]
    assert shown(found) == [
        (b"etc/own", Kind.FILE, b"etc/own"),
        (b"etc/link", Kind.SYMLINK, b"own"),
    ]


def test_the_root_of_a_sandbox_is_read_and_no_link_is_followed(tmp_path):
    """It is a folder on this machine, which may have links to anywhere."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/own").write_text("own")
    (tmp_path / "etc/out").symlink_to("/etc")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/w.bin").write_text("")
    plan = {
        "root": str(tmp_path),
        "environment": {"MEALKIT_IMAGE_DIGEST": "sha256:12"},
        "mounts": [["/here/w.bin", "/models/w.bin"]],
    }
    found = unpacked_files(plan)
    assert (found.image_id, found.stated, found.entrypoint) == (None, "sha256:12", None)
    assert shown(found) == [
        (b"etc", Kind.DIRECTORY, b""),
        (b"etc/out", Kind.SYMLINK, b"/etc"),
        (b"etc/own", Kind.FILE, b"own"),
        (b"models", Kind.DIRECTORY, b""),
    ]
