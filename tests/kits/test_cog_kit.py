"""A Cog project, from its cog.yaml to the answer of a container."""

import base64
import json
import struct
import urllib.request
import zlib

import pytest
from fakes.cog_projects import BLUR, write_project

from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.importing import import_kit


def png(width, height, shade):
    """Write a grey picture; ``shade`` gives a pixel's value."""
    rows = b"".join(b"\0" + bytes(shade(x, y) for x in range(width)) for y in range(height))

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.xdist_group("cog-kit")
def test_a_project_with_a_package_runs_in_a_container(tmp_path, run_kit_named):
    """Locked, built and asked: a picture in, the blurred picture out, without a word changed."""
    project = write_project(tmp_path / "blur", BLUR)
    home = home_at(tmp_path / "new-home")
    (tmp_path / "kits").mkdir()
    made = import_kit(tmp_path / "kits" / "blur", "cog", str(project), engine=None, home=home)
    # Cog fetches addresses, a kit does so only where its author allows it.
    assert [left.what.split()[0] for left in made.left_out] == ["files"]
    assert "libsm6" in made.path.read_text()
    assert (made.path.parent / "predict.py").read_text() == BLUR["predict.py"]

    url = run_kit_named(made.path.parent, "docker").url

    picture = base64.b64encode(png(32, 32, lambda x, _y: 255 if x < 16 else 0)).decode()
    body = {"model": "blur", "input": {"image": f"data:image/png;base64,{picture}", "blur": 4}}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/predict", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        output = json.load(answer)["output"]
    head, _, data = output.partition(",")
    assert head == "data:image/png;base64"
    blurred = base64.b64decode(data)
    assert blurred.startswith(b"\x89PNG")
    assert struct.unpack(">II", blurred[16:24]) == (32, 32)
    assert blurred != base64.b64decode(picture)
