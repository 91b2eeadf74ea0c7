"""mealkit policy: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from fakes.policies import kit_image
from fakes.served import ROOT
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.pipeline.home import home_at
from mealkit.recipe.lock import read_lock
from mealkit.stores.local import LocalStore


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on a machine whose store has the kit rake, without a policy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path / "home"))
    image = kit_image(read_lock((ROOT / "kits/rake/kit.lock").read_bytes()))
    LocalStore(home_at(tmp_path / "home").store).put(image, ["rake:1.0.0"])
    runner = CliRunner()
    runner.invoke(app, ["keygen", "release.key", "--unencrypted"])
    return lambda *arguments: runner.invoke(app, ["policy", *arguments])


def test_a_new_policy_is_valid_as_it_is(run):
    """The template is a policy as soon as the public key that it names is there."""
    assert run("new", "policy.yaml").exit_code == 0
    assert run("check", "policy.yaml").exit_code == 0
    again = run("new", "policy.yaml")
    assert (again.exit_code, "OUTPUT_EXISTS" in again.output) == (8, True)
    commented = Path("policy.yaml").read_text()
    fields = [line[2:] for line in commented.splitlines() if line.startswith("# ") and ":" in line]
    assert {"owner:", "registries:", "bases:", "attestations:", "vulnerabilities:"} <= set(fields)


def test_json_has_every_rule(run):
    """--json prints each policy with its rules; refused ones have a code and an owner."""
    run("new", "policy.yaml")
    done = run("test", "rake:1.0.0", "--policy", "policy.yaml", "--json")
    assert done.exit_code == 13
    (form,) = json.loads(done.stdout)
    assert form["accepted"] is False
    (rule,) = form["rules"]
    assert rule["rule"] == "signatures"
    assert rule["where"].startswith("policy.yaml:")
    assert (rule["code"], rule["owner"]) == ("POLICY_UNSIGNED", "kit-author")
    assert json.loads(done.stderr)["problems"][0]["required"] == "a signature of release"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("test", "rake:1.0.0"), "this machine has no policy"),
        (("export", "policy.yaml"), "the tool that reads the result is not named"),
    ],
)
def test_what_is_missing_is_named(run, arguments, words):
    """Without a policy, or without a tool, the command says what to add."""
    run("new", "policy.yaml")
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_an_unsigned_local_image_is_not_started(run, monkeypatch):
    """mealkit run obeys the policy for what is in the local store."""
    run("new", "policy.yaml")
    monkeypatch.setenv("MEALKIT_POLICY", "policy.yaml")
    done = CliRunner().invoke(app, ["run", "rake:1.0.0", "--port", "0"])
    assert (done.exit_code, "POLICY_UNSIGNED" in done.output) == (13, True)


def test_a_kit_folder_is_refused_before_it_is_built(run, monkeypatch):
    """local_builds: refuse ends mealkit run FOLDER at once, and names the policy's owner."""
    run("new", "policy.yaml")
    owner = "owner: {team: Kitchen, contact: 'mailto:k@example.org', support: by day}\n"
    Path("policy.yaml").write_text(Path("policy.yaml").read_text() + owner)
    monkeypatch.setenv("MEALKIT_POLICY", "policy.yaml")
    done = CliRunner().invoke(app, ["run", str(ROOT / "kits/rake"), "--port", "0"])
    assert (done.exit_code, "POLICY_LOCAL" in done.output) == (13, True)
    assert "the policy's owner is Kitchen, mailto:k@example.org" in done.output


def test_verify_without_a_key_asks_the_policies(run, monkeypatch):
    """mealkit verify refuses what a policy of the machine refuses."""
    run("new", "policy.yaml")
    monkeypatch.setenv("MEALKIT_POLICY", "policy.yaml")
    done = CliRunner().invoke(app, ["verify", "rake:1.0.0"])
    assert (done.exit_code, "POLICY_UNSIGNED" in done.output) == (13, True)
