"""docs/how-to/demand-a-test-result.md carried out: every command succeeds, in its order."""

import json
from pathlib import Path

import pytest
from fakes.answering_kit import answering_kit
from fakes.how_to import Shell, commands_in, file_in
from fakes.little import OFFLINE, edit_kit, little_kit
from fakes.served import Registry
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.recipe.lock import read_lock

PAGE = "how-to/demand-a-test-result.md"
ROWS = [("aa", "bb", 0.1), ("ab", "ab", 1.0), ("abc", "ab", 0.8), ("aab", "abb", 0.7)]


def with_a_claim(form):
    """A claim with data, one that is only stated, and a case."""
    common = {"source": "Table 2", "metric": "spearman", "tolerance": {"absolute": 0.01}}
    ask = {"kind": "similarity", "first": "a", "second": "b"}
    form["datasets"] = {"pairs": {"source": "folder", "path": "data", "files": ["pairs.jsonl"]}}
    form["claims"] = [
        {"name": "similarity", "data": "pairs", "ask": ask, "value": 1.0, **common},
        {"name": "table-3", "value": 0.87, **common},
    ]
    form["cases"] = [{"name": "first", "request": {"input": "abc"}}]


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """The folder in which the page was followed, what its commands printed, and the reference."""
    folder = tmp_path_factory.mktemp("page")
    kit = little_kit(folder / "my-kit", name="my-kit")
    (kit / "data").mkdir()
    rows = [json.dumps({"a": a, "b": b, "expected": value}) for a, b, value in ROWS]
    (kit / "data" / "pairs.jsonl").write_text("\n".join(rows))
    edit_kit(kit, with_a_claim)
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        patch.chdir(folder)
        for name, value in {**OFFLINE, "MEALKIT_HOME": str(folder / "home")}.items():
            patch.setenv(name, value)
        shell = Shell({})
        shell.run("mealkit keygen team.key --unencrypted")
        shell.run("mealkit --quiet lock my-kit")
        lock = read_lock((kit / "kit.lock").read_bytes())
        policy = file_in(PAGE, "version: mealkit.policy/v1")
        (folder / "policy.yaml").write_text(policy.replace("registry.example.org", registry.host))
        printed = {}
        with answering_kit(lock) as running:
            # The little kit has no engine; its stand-in answers, and all else is real.
            places = {
                "registry.example.org": registry.host,
                "test my-kit": f"test {running.address} --kit my-kit",
            }
            for line in commands_in(PAGE):
                command = line
                for name, ours in places.items():
                    command = command.replace(name, ours)
                printed[" ".join(line.split()[1:3])] = shell.run(command)
        yield folder, printed, f"{registry.host}/team/my-kit:1.0.0"


def test_every_command_of_the_page(carried_out):
    """Testing, signing, verifying, requiring and exporting work as the page says."""
    folder, printed, _ = carried_out
    report = json.loads((folder / "report.json").read_text())
    assert [item["verdict"] for item in report["claims"]] == ["holds", "not judged"]
    assert "passed   attestations.test_result" in printed["policy test"]
    for name in ("kyverno", "policy-controller"):
        assert "mealkit:test-passed" in Path("cluster", f"{name}.yaml").read_text()


def test_verify_prints_what_the_page_shows(carried_out):
    """The lines of the page's example are those of the program, with other values."""
    _, _, target = carried_out
    done = CliRunner().invoke(app, ["verify", target, "--key", "team.key.pub"])
    shown = file_in(PAGE, "signer                       signed               layout          time")
    assert done.stderr.startswith("signer ")
    assert "mealkit test: PASSED, 0 days old" in done.stderr
    verdicts = [line.split()[:2] for line in done.stderr.splitlines() if line.startswith("  ")]
    assert verdicts == [line.split()[:2] for line in shown.splitlines() if line.startswith("  ")]


def test_an_image_without_the_result_is_refused(carried_out):
    """The same kit, signed and pushed without a test, names the rule and what is missing."""
    _, _, target = carried_out
    other = target.replace(":1.0.0", ":1.0.1")
    edit_kit(Path("my-kit"), lambda form: form.update(version="1.0.1"))
    for line in (f"build my-kit --push {other} --sign --key team.key",):
        assert CliRunner().invoke(app, line.split()).exit_code == 0
    done = CliRunner().invoke(app, ["policy", "test", other, "--policy", "policy.yaml", "--json"])
    assert done.exit_code == 13
    (problem,) = json.loads(done.stderr)["problems"]
    assert (problem["code"], problem["measured"]) == ("POLICY_ATTESTATION", "no test result")
