"""The how-to for auditors on the example kit: built again, hashed again, its SBOM read."""

import json
import os
import subprocess
import sys

import pytest
from fakes.little import Heard
from fakes.served import Demo, Registry

from mealkit.pipeline.image.outputs import Outputs, deliver
from mealkit.stores.local import LocalStore


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_an_auditor_gets_the_same_digest_from_the_registry_alone(
    demo: Demo, registry: Registry, tmp_path, home_with_files
):
    """Another home, language and time zone; every layer is made again, and the SBOM is the same."""
    reference = f"{registry.host}/audit/demo:1.0.0"
    content = LocalStore(demo.home.store).content(str(demo.report.digest))
    places = Outputs(push=[reference]).places()
    deliver(content, "demo:1.0.0", places, (), Heard())
    environment = {
        **os.environ,
        "MEALKIT_HOME": str(home_with_files(tmp_path / "auditor").root),
        "LANG": "tr_TR.UTF-8",
        "TZ": "Pacific/Kiritimati",
    }

    def mealkit(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "mealkit", "--quiet", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = json.loads(mealkit("verify", reference, "--rebuild", "--json"))
    assert (found["digest"], found["problems"]) == (demo.report.digest, [])
    assert {item["proof"] for item in found["layers"]} == {"rebuilt"}
    assert mealkit("sbom", reference) == mealkit("sbom", reference)
    assert not list((tmp_path / "auditor").glob("rebuild-*"))
