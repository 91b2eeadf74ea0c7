"""A test's report is signed, attached, travels with the image, and is shown by verify."""

import json
from pathlib import Path

import pytest
from fakes.policies import kit_image
from fakes.served import ROOT, Registry
from fakes.tested import H200, claimed, report_of, with_claims
from typer.testing import CliRunner

from mealkit.acceptance.report import Verdict
from mealkit.cli.program import app
from mealkit.oci.reference import Reference
from mealkit.recipe.lock import read_lock
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.test_result import acceptance_result

pytestmark = pytest.mark.xdist_group("verified-tests")
KIT = with_claims(read_lock((ROOT / "kits/rake/kit.lock").read_bytes()))


def edited(report):
    """The report with another measured value, and the same verdict."""
    first = report.claims[0].model_copy(update={"measured": 0.1})
    return report.model_copy(update={"claims": (first, *report.claims[1:])})


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Runs commands in a folder with a key and reports; the image of the kit is in a registry."""
    folder = tmp_path_factory.mktemp("tested")
    with Registry(folder / "registry") as registry, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEALKIT_HOME", str(folder / "home"))
        patch.setenv("MEALKIT_PLAIN_HTTP", registry.host)
        for name, report in {
            "passed": report_of(KIT, H200),
            "failed": report_of(KIT, similarity=Verdict.FAILS),
            "edited": edited(report_of(KIT)),
            "other": report_of(KIT).model_copy(
                update={"kit": report_of(KIT).kit.model_copy(update={"recipe": f"sha256:{0:064}"})}
            ),
        }.items():
            (folder / f"{name}.json").write_bytes(report.as_json())

        def run(*arguments):
            done = CliRunner().invoke(app, list(arguments))
            return done.exit_code, done.stdout, done.stderr

        with Registries.from_environment() as registries:
            push(kit_image(KIT), Reference(registry.host, "models/rake", "1.0.0"), registries)
        assert run("keygen", "team.key", "--unencrypted")[0] == 0
        run.place = f"{registry.host}/models/rake:1.0.0"
        run.host = registry.host
        assert run("sign", run.place, "--key", "team.key")[0] == 0
        yield run


@pytest.fixture(scope="module")
def attested(desk):
    """The image, with a preflight's result and a test's, attached by one command."""
    code, _, said = desk(
        *("attest", desk.place, "--key", "team.key", "--type", "test-result"),
        *("--test-report", "passed.json"),
    )
    assert code == 0, said
    assert said.count(": test result") == 2
    assert said.count(": verification result") == 1
    return desk


def test_verify_shows_the_claims_the_machine_and_the_age(attested):
    """For people as a table, and for programs as JSON; the preflight is another entry."""
    code, out, said = attested("verify", attested.place, "--key", "team.key.pub")
    assert code == 0
    assert out.startswith("sha256:")
    assert "mealkit test on NVIDIA H200: PASSED, " in said
    assert " old" in said
    assert ["claims/similarity", "passed", "0.82", "0.8203"] in [
        line.split() for line in said.splitlines()
    ]
    assert "stated only" in said
    assert "mealkit preflight on " in said
    form = json.loads(attested("verify", attested.place, "--key", "team.key.pub", "--json")[1])
    tests = {item["test"]: item for item in form["tests"]}
    assert tests.keys() == {"mealkit test", "mealkit preflight"}
    own = tests["mealkit test"]
    assert (own["result"], own["machine"], own["stale"]) == ("PASSED", "NVIDIA H200", [])
    assert own["measured"] == {"similarity": 0.8203, "speed-h200": 0.8203}
    assert own["ageDays"] >= 0
    assert own["recipe"] == KIT.recipe


def test_attesting_a_report_again_changes_nothing(attested):
    """The same report by the same key is signed once, although a preflight has its type."""
    again = attested("attest", attested.place, "--key", "team.key", "--test-report", "passed.json")
    assert again[0] == 0
    assert again[2].count("already signed") == 2


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("other.json", "TEST_REPORT_STALE"),
        ("team.key.pub", "TEST_REPORT_INVALID"),
        ("edited.json", "TEST_REPORT_INVALID"),
    ],
)
def test_what_is_no_report_of_this_image_is_not_signed(desk, file, code):
    """A report of another recipe proves nothing, and neither does one with edited values."""
    done, _, said = desk("attest", desk.place, "--key", "team.key", "--test-report", file, "--json")
    assert done != 0
    assert json.loads(said)["problems"][0]["code"] == code


def test_the_result_travels_with_the_image(attested, tmp_path):
    """Copied, pulled, saved, loaded elsewhere and pushed from there: verify still shows it."""
    copied, pushed = (f"{attested.host}/{name}/rake:1.0.0" for name in ("mirror", "again"))
    volume = str(tmp_path / "rake.tar")

    def done(*arguments):
        code, out, said = attested(*arguments)
        assert code == 0, said
        return out

    done("copy", attested.place, copied)
    done("pull", copied)
    done("save", copied, volume)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEALKIT_HOME", str(tmp_path / "elsewhere"))
        done("load", volume)
        done("push", "rake:1.0.0", pushed)
        for place in ("rake:1.0.0", pushed):
            form = json.loads(done("verify", place, "--key", "team.key.pub", "--json"))
            tests = {item["test"] for item in form["tests"]}
            assert tests == {"mealkit test", "mealkit preflight"}
            kinds = {item["predicateType"] for item in form["verified"]}
            assert "https://in-toto.io/attestation/svr/v0.2" in kinds


def test_a_statement_of_another_recipe_is_shown_as_stale(desk):
    """Another program may sign what mealkit refuses to; its reader is told."""
    looser = KIT.model_copy(update={"claims": (claimed("similarity", value=0.9),)})
    with Registries.from_environment() as registries:
        push(kit_image(looser), Reference(desk.host, "models/loose", "1.0.0"), registries)
    place = f"{desk.host}/models/loose:1.0.0"
    result = acceptance_result(KIT, report_of(KIT))
    result["configuration"][0]["annotations"]["started"] = "9999-01-01T00:00:00Z"
    Path("result.json").write_text(json.dumps(result))
    assert desk("sign", place, "--key", "team.key")[0] == 0
    kind = ("--type", "test-result", "--predicate", "result.json")
    assert desk("attest", place, "--key", "team.key", *kind)[0] == 0
    said = desk("verify", place, "--key", "team.key.pub")[2]
    assert "stale: the image states another claim, or none, under" in said
    form = json.loads(desk("verify", place, "--key", "team.key.pub", "--json")[1])
    # A test cannot have begun after its result was signed.
    assert [item["ageDays"] for item in form["tests"]] == [0]
