"""Layers become a root as the image specification says, and nothing leads outside."""

import gzip
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from mealkit.containers.root import unpack_root
from mealkit.digest import Digest
from mealkit.errors import StoreError
from mealkit.oci.compression import can_unpack
from mealkit.oci.descriptor import DOCKER_LAYER, DOCKER_LAYER_GZIP, LAYER, LAYER_GZIP, LAYER_ZSTD
from mealkit.oci.image import Layer


def layer(*entries):
    """A tar of (name, content) where content is bytes, None for a folder, or a dict of tar fields."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.mtime = 1234
            member.mode = 0o644
            data = b""
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, dict):
                data = content.pop("data", b"")
                for key, value in content.items():
                    setattr(member, key, value)
            else:
                data = content
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def chunked(data, size=700):
    """Views of one buffer that is written again each time, as a store yields them."""
    buffer = bytearray(size)
    for start in range(0, len(data), size):
        part = data[start : start + size]
        buffer[: len(part)] = part
        yield memoryview(buffer)[: len(part)]


class Chunked:
    """A blob that is yielded in small views of one buffer."""

    def __init__(self, data, size=700):
        self.data, self.size = data, size
        self.digest, self.size_bytes = Digest.of(data), len(data)

    def chunks(self, offset=0, length=None):
        return chunked(self.data, self.size)


def packed(data, media_type=LAYER, plain=None, size=700):
    """A layer of these bytes, which unpack to ``plain``."""
    return Layer(media_type, Chunked(data, size), Digest.of(data if plain is None else plain), "")


def unpacked(tmp_path, *layers, name="root"):
    return unpack_root([packed(data) for data in layers], tmp_path / name)


def symlink(target):
    return {"type": tarfile.SYMTYPE, "linkname": target}


def hardlink(target):
    return {"type": tarfile.LNKTYPE, "linkname": target}


def code_of(error):
    return error.value.problems[0].code


def test_upper_layers_win(tmp_path):
    """Files, modes and times come from the last layer that has them."""
    root = unpacked(
        tmp_path,
        layer(("a/", None), ("a/x", b"low"), ("a/y", b"kept")),
        layer(("a/x", {"data": b"high" * 1000, "mode": 0o755})),
    )
    assert (root / "a/x").read_bytes() == b"high" * 1000
    assert (root / "a/y").read_bytes() == b"kept"
    assert stat.S_IMODE((root / "a/x").stat().st_mode) == 0o755
    assert (root / "a/x").stat().st_mtime == 1234


def test_places_that_the_sandbox_mounts_at_are_there(tmp_path):
    """A shared root cannot be given folders later."""
    root = unpacked(tmp_path, layer(("x", b"")))
    for name in ("proc", "sys", "dev", "tmp", "models", "var/lib/mealkit"):
        assert (root / name).is_dir()
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_whiteouts_delete_lower_files(tmp_path):
    """A whiteout hides a file or a folder of lower layers, and leaves no trace of itself."""
    root = unpacked(
        tmp_path,
        layer(("d/", None), ("d/file", b""), ("d/folder/deep", b""), ("d/stays", b"")),
        layer(("d/.wh.file", b""), ("d/.wh.folder", b""), ("d/.wh.never-was", b"")),
    )
    assert [path.name for path in (root / "d").iterdir()] == ["stays"]


@pytest.mark.parametrize("first", [True, False])
def test_opaque_folders_hide_all_that_is_lower(tmp_path, first):
    """Only what the layer itself brings stays, wherever in it the marker stands."""
    own = [("d/new", b"new"), ("d/both/", None), ("d/both/new", b"")]
    marker = [("d/.wh..wh..opq", b"")]
    root = unpacked(
        tmp_path,
        layer(("d/old", b""), ("d/both/old", b""), ("d/gone/deep", b"")),
        layer(("d/", None), *(marker + own if first else own + marker)),
    )
    assert sorted(str(path.relative_to(root / "d")) for path in (root / "d").rglob("*")) == [
        "both",
        "both/new",
        "new",
    ]


def test_kinds_replace_each_other(tmp_path):
    """A file over a folder, a folder over a file, a folder over a link."""
    root = unpacked(
        tmp_path,
        layer(("a/deep/x", b""), ("b", b""), ("c", symlink("a"))),
        layer(("a", b"file"), ("b/", None), ("b/x", b""), ("c/", None), ("c/own", b"")),
    )
    assert (root / "a").read_bytes() == b"file"
    assert (root / "b/x").is_file()
    assert not (root / "c").is_symlink()


def test_links_inside_work(tmp_path):
    """Symbolic links are kept as written, hard links share their bytes, folder links are followed."""
    root = unpacked(
        tmp_path,
        layer(("usr/bin/", None), ("bin", symlink("usr/bin")), ("abs", symlink("/usr"))),
        layer(
            ("bin/tool", b"tool"),
            ("abs/bin/other", b"other"),
            ("hard", hardlink("bin/tool")),
            ("dangling", symlink("/none")),
        ),
    )
    assert (root / "usr/bin/tool").read_bytes() == b"tool"
    assert (root / "usr/bin/other").read_bytes() == b"other"
    assert (root / "hard").samefile(root / "usr/bin/tool")
    assert str((root / "dangling").readlink()) == "/none"
    assert (root / "bin").is_symlink()


@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", b"x")],
        [("a/../../outside", b"x")],
        [("link", hardlink("../outside"))],
        [("link", hardlink("/../outside"))],
        [("link", hardlink("nothing"))],
        [("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
        [("device", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0})],
        [("pipe", {"type": tarfile.FIFOTYPE})],
        [("a", symlink("b")), ("b", symlink("a")), ("a/x", b"")],
    ],
)
def test_what_may_not_be_unpacked_is_refused(tmp_path, entries):
    """Climbing names, links to nothing, devices and link loops; nothing is left behind."""
    with pytest.raises(StoreError) as error:
        unpacked(tmp_path, layer(*entries))
    assert code_of(error) == "IMAGE_INVALID"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["{outside}", "../outside", "../../../../..{outside}", "/up"])
def test_links_that_lead_outside_stay_inside(tmp_path, way):
    """A link to a place outside is taken as if the root were /, so nothing outside is written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    aim = way.format(outside=outside)
    root = unpacked(
        tmp_path / "in",
        layer(
            ("up", symlink("..")),
            ("evil", symlink(aim)),
            ("evil/planted", b"x"),
            ("evil/.wh.kept", b""),
            ("evil/.wh..wh..opq", b""),
        ),
        layer(
            ("evil/again", b"x"),
            ("stolen", {"type": tarfile.SYMTYPE, "linkname": f"{outside}/kept"}),
            ("evil/hard", hardlink("stolen")),
        ),
    )
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "outside"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == [root.name]


def test_setuid_is_dropped_and_folders_can_be_deleted(tmp_path):
    """Setuid programs would be a trap on the host; folders without write permission would stay for ever."""
    root = unpacked(
        tmp_path,
        layer(
            ("su", {"data": b"x", "mode": 0o6755}),
            ("tmp/", {"type": tarfile.DIRTYPE, "mode": 0o1777}),
            ("closed/", {"type": tarfile.DIRTYPE, "mode": 0o555}),
            ("closed/x", b""),
        ),
    )
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "closed").stat().st_mode) == 0o755


@pytest.mark.parametrize("media_type", [LAYER_GZIP, DOCKER_LAYER_GZIP])
def test_gzip_of_several_members_is_read_whole(tmp_path, media_type):
    """Parallel compressors write more than one member."""
    data = layer(("x", b"0123456789" * 5000))
    members = gzip.compress(data[:3000]) + gzip.compress(data[3000:])
    root = unpack_root([packed(members, media_type, data, size=11)], tmp_path / "root")
    assert (root / "x").read_bytes() == b"0123456789" * 5000


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        (LAYER_GZIP, gzip.compress(layer(("x", os.urandom(5000))))[:-3000]),
        (LAYER_GZIP, b"not gzip at all"),
        (LAYER, layer(("x", b"x" * 5000))[:2000]),
        (LAYER, b"\1" * 2048),
        ("application/octet-stream", b""),
    ],
    # By name: bytes that differ from run to run would make tests that no two workers agree on.
    ids=["cut gzip", "no gzip", "cut tar", "no tar", "unknown type"],
)
def test_damaged_or_unknown_layers_are_refused(tmp_path, media_type, data):
    """A cut stream never becomes a root."""
    with pytest.raises(StoreError) as error:
        unpack_root([packed(data, media_type)], tmp_path / "root")
    assert code_of(error) == "IMAGE_INVALID"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_layer_of_zstd_is_refused(tmp_path):
    """It is invalid, or cannot be checked if this Python has no zstd; no root is left."""
    with pytest.raises(StoreError) as error:
        unpack_root([packed(b"", LAYER_ZSTD)], tmp_path / "root")
    is_read = can_unpack(LAYER_ZSTD)
    assert code_of(error) == ("IMAGE_INVALID" if is_read else "IMAGE_UNCHECKED")
    assert list(tmp_path.iterdir()) == []


def test_every_byte_is_read_and_counted(tmp_path):
    """A caller that hashes the stream sees its end, and progress adds up."""
    data = layer(("x", b"y" * 3000)) + b"\0" * 20_000
    seen = []
    unpack_root([packed(data, DOCKER_LAYER)], tmp_path / "root", seen.append)
    assert sum(seen) == len(data)


def test_an_error_of_the_source_leaves_nothing(tmp_path):
    """A blob that turns out damaged at its end spoils the whole root."""

    class Broken(Chunked):
        def chunks(self, offset=0, length=None):
            yield self.data
            raise StoreError

    data = layer(("x", b""))
    with pytest.raises(StoreError):
        unpack_root([Layer(LAYER, Broken(data), Digest.of(data), "")], tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_root_is_not_unpacked_again(tmp_path):
    """The name vouches for the content, so no byte is asked for."""
    root = unpacked(tmp_path, layer(("x", b"1")))

    class Never(Chunked):
        def chunks(self, offset=0, length=None):
            raise AssertionError

    assert unpack_root([Layer(LAYER, Never(b""), Digest.of(b""), "")], root) == root


def test_two_at_once_make_one_root(tmp_path):
    """Both get the whole root, and no partial one stays."""
    data = layer(*((f"f{number}", b"x" * 1000) for number in range(200)))
    with ThreadPoolExecutor(4) as pool:
        roots = set(pool.map(lambda _: unpacked(tmp_path, data), range(4)))
    assert roots == {tmp_path / "root"}
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert (tmp_path / "root/f199").stat().st_size == 1000


FULL = """
import io, json, sys, tarfile
from pathlib import Path
from mealkit.containers.root import unpack_root
from mealkit.errors import MealkitError
from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Layer
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as archive:
    member = tarfile.TarInfo("big")
    member.size = 1 << 20
    archive.addfile(member, io.BytesIO(b"x" * member.size))
data = packed.getvalue()
try:
    unpack_root([Layer(LAYER, BytesBlob(data), Digest.of(data), "")], Path(sys.argv[1], "root"))
    code = None
except MealkitError as error:
    code = error.problems[0].code
print(json.dumps([code, [path.name for path in Path(sys.argv[1]).iterdir()]]))
"""


def test_a_full_disk_is_named_and_left_clean(tmp_path):
    """DISK_FULL, and the space comes back."""
    script = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            tmp_path,
            sys.executable,
            FULL,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == ["DISK_FULL", []]
