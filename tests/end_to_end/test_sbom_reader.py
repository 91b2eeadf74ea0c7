"""syft, which reads what is installed in an image, finds the packages that the SBOM lists."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from fakes.served import Demo

from mealkit.pipeline.statements.describing import describe
from mealkit.stores.layout import write_layout

READERS = Path(__file__).parents[2] / ".engines" / "readers"


@pytest.mark.online
@pytest.mark.xdist_group("demo")
@pytest.mark.skipif(not (READERS / ".ready").exists(), reason="no readers: make packages")
def test_syft_finds_the_packages_of_the_sbom_and_no_others(demo: Demo, tmp_path):
    """Each purl is spelled the same; syft adds the version of a source that has another one."""
    write_layout(demo.image, tmp_path / "layout", "demo:1")
    command = [sys.executable, READERS / "bin" / "syft", "scan", f"oci-dir:{tmp_path / 'layout'}"]
    environment = os.environ | {
        "PYTHONPATH": str(READERS),
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "SYFT_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [*command, "--output", "cyclonedx-json", "--quiet"],
        env=environment,
        check=True,
        capture_output=True,
    )
    theirs = {
        re.sub(r"(&upstream=[^&]*)(%40|@)[^&]*", r"\1", item["purl"])
        for item in json.loads(done.stdout)["components"]
        if "purl" in item
    }
    found = describe(str(demo.report.digest), demo.home, licences=True)
    ours = {
        item["purl"]: item.get("licenses")
        for item in found["components"]
        if item.get("purl", "").startswith(("pkg:deb/", "pkg:pypi/"))
    }
    assert theirs == set(ours)
    assert len(ours) > 40
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found)) is None
    licences = {purl.partition("@")[0]: found for purl, found in ours.items()}
    assert licences["pkg:deb/debian/libexpat1"] == [{"expression": "MIT"}]
    assert licences["pkg:pypi/tokenizers"] == [{"expression": "Apache-2.0"}]
