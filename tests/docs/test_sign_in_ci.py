"""docs/how-to/sign-in-ci.md carried out: every command succeeds, in its order."""

import json

import pytest
from fakes.how_to import Shell, commands_in
from fakes.little import OFFLINE, little_kit
from fakes.served import Registry
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.pipeline.home import home_at
from mealkit.pipeline.signatures.key_files import public_key_at

PASSPHRASE = "seven dry words"


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """The folder in which the page was followed, its shell, and the reference that was signed."""
    folder = tmp_path_factory.mktemp("page")
    little_kit(folder / "my-kit", name="my-kit")
    (folder / "passphrase.txt").write_text(f"{PASSPHRASE}\n")
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        patch.chdir(folder)
        shell = Shell(
            {
                **OFFLINE,
                "MEALKIT_HOME": str(folder / "home"),
                "SECRET_OF_YOUR_CI": PASSPHRASE,
                # What a person would type.
                "MEALKIT_KEY_PASSPHRASE": PASSPHRASE,
            }
        )
        shell.run("mealkit --quiet lock my-kit")
        for line in commands_in("how-to/sign-in-ci.md"):
            shell.run(line.replace("registry.example.org", registry.host))
        yield folder, shell, f"{registry.host}/team/my-kit:1.0.0"


def test_every_command_of_the_page(carried_out):
    """Creating a key, signing, verifying and changing the key work as the page says."""
    folder, shell, _ = carried_out
    assert shell.variables["digest"].startswith("sha256:")
    assert (folder / "team.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "model.sig").read_bytes().startswith(b"{")


def test_no_secret_is_left_behind(carried_out):
    """Neither the private key nor its passphrase is in the home, with its image, or in the registry."""
    folder, _, _ = carried_out
    secrets = [PASSPHRASE.encode(), (folder / "team.key").read_bytes().splitlines()[1]]
    assert home_at(folder / "home").store.is_dir()
    for place in ("home", "registry"):
        for path in (folder / place).rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert not any(secret in data for secret in secrets), path


def test_what_programs_read(carried_out):
    """As JSON, verify prints who signed what, and ends with 13 and problems for another key."""
    folder, shell, target = carried_out
    public = folder / "team.key.pub"
    form = json.loads(shell.run(f"mealkit verify {target} --key {public} --json"))
    assert form["digest"] == shell.variables["digest"]
    assert {one["form"] for one in form["verified"]} == {"bundle", "simple-signing"}
    fingerprint = public_key_at(public).fingerprint
    assert {one["signer"]["fingerprint"] for one in form["verified"]} == {fingerprint}
    shell.run(f"mealkit --quiet keygen {folder / 'other.key'} --algorithm ed25519 --unencrypted")
    arguments = ["verify", target, "--key", f"{folder / 'other.key.pub'}", "--json"]
    done = CliRunner().invoke(app, arguments, env=shell.variables)
    assert done.exit_code == 13
    assert {one["code"] for one in json.loads(done.stderr)["problems"]} == {"SIGNATURE_KEY"}
