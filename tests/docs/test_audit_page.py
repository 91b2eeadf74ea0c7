"""docs/how-to/audit-a-kit.md carried out on a little kit: every command of mealkit succeeds."""

import re
import shlex
import shutil

import pytest
from fakes.little import OFFLINE, little_base, little_kit
from fakes.served import ROOT, Registry
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.stores.layout import write_layout
from mealkit.trust.signing_keys import Algorithm, new_key

# Carried out in tests/end_to_end: test_running.py, test_rendered.py.
ELSEWHERE = {"mealkit verify my-kit", "mealkit build my-kit --locked --load"}


def commands():
    """The lines of the page that begin with ``$ mealkit``, without comments and redirections."""
    text = (ROOT / "docs" / "how-to" / "audit-a-kit.md").read_text()
    for line in re.findall(r"^ *\$ (mealkit .*)$", text, re.MULTILINE):
        yield " ".join(shlex.split(line.partition(" > ")[0], comments=True))


@pytest.fixture(scope="module")
def auditor(tmp_path_factory):
    """Run a command on a machine that has what the page names, the author's folder included."""
    folder = tmp_path_factory.mktemp("audit")
    with Registry(folder / "registry") as registry, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        reference = f"{registry.host}/team/my-kit:1.0.0"
        words = {
            "REF": reference,
            "oci:DIR": "oci:layout",
            "FILE": "image.tar",
            "WEIGHTS": "my-kit/weights",
        }
        for name, value in (*OFFLINE.items(), ("MEALKIT_HOME", str(folder / "home"))):
            patch.setenv(name, value)
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)

        def run(line):
            arguments = [words.get(word, word) for word in line.split()][1:]
            if "--rebuild" in arguments:  # its wheels and its base are only with the author
                arguments += ["--inputs", "wheels", "--base", "oci:base"]
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, f"{line}\n{done.output}"
            return done.stdout

        little_kit(folder / "my-kit", name="my-kit")
        shutil.copytree(folder / "my-kit" / "wheels", folder / "wheels")
        write_layout(little_base(), folder / "base", "base:1")
        for name, data in zip(
            ("team.key", "team.key.pub"), new_key(Algorithm.ECDSA_P256, None), strict=True
        ):
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        run("mealkit build my-kit --output oci:layout --output oci-archive:image.tar --push REF")
        run("mealkit sign REF --key team.key")
        run("mealkit attest REF --key team.key")
        yield run


def test_every_command_of_the_page_succeeds(auditor):
    """Each line is run as it stands, with the auditor's own names in place of REF, DIR and FILE."""
    lines = list(commands())
    assert set(lines) > ELSEWHERE
    said = {line: auditor(line) for line in lines if line not in ELSEWHERE}
    assert "mealkit sbom REF" in said
    assert "mealkit attest REF --type provenance --print" in said
    assert said["mealkit verify REF --rebuild"] == said["mealkit verify my-kit:1.0.0"]
    signed = auditor("mealkit verify REF --key team.key.pub --json")
    for kind in ("https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1"):
        assert f'"predicateType": "{kind}"' in signed
