"""A policy for other tools: its fields, and what podman's relatives make of it."""

import datetime as dt
import json
import subprocess

import pytest
import yaml
from fakes.policies import kit_image
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import ROOT, need
from fakes.signatures import new_signer

from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.policy.exporting_policies import Tool, exported, write_exported
from mealkit.pipeline.signatures.signing import sign
from mealkit.recipe.lock import read_lock
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries

KEY, OTHER = new_signer(), new_signer()
PLACE = "registry.example.org/models"
TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def export(tmp_path):
    """Write a policy that trusts two keys, and export it."""

    def write(tool: Tool, **fields):
        keys = {name: {"pem": key.public.pem.decode()} for name, key in (("a", KEY), ("b", OTHER))}
        form = {"version": "mealkit.policy/v1", "keys": keys, "registries": {PLACE: {}}, **fields}
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump(form))
        return exported(path, tool)

    return write


def documents(files) -> list[dict]:
    (text,) = files.values()
    return list(yaml.safe_load_all(text))


ATTESTED = {
    "sbom": {},
    "provenance": {"signed_by": ["b"], "builders": ["https://b.example.org/*"]},
    "test_result": {"results": ["PASSED", "WARNED"]},
}


def test_kyverno_gets_a_rule_for_each_place_and_attestation(export):
    """The ClusterPolicy reads bundles, without a transparency log, and pins the digest."""
    (form,) = documents(export(Tool.KYVERNO, attestations=ATTESTED))
    assert (form["apiVersion"], form["kind"]) == ("kyverno.io/v1", "ClusterPolicy")
    rules = form["spec"]["rules"]
    assert len({rule["name"] for rule in rules}) == len(rules) == 4
    assert all(len(rule["name"]) <= 63 for rule in rules)
    verified = [rule["verifyImages"][0] for rule in rules]
    assert {item["type"] for item in verified} == {"SigstoreBundle"}
    assert {item["failureAction"] for item in verified} == {"Enforce"}
    # A rule of Kyverno checks signatures or attestations, not both.
    assert [("attestors" in item, "attestations" in item) for item in verified] == [
        (True, False),
        (False, True),
        (False, True),
        (False, True),
    ]
    signed, _, provenance, result = verified
    assert f"{PLACE}/*" in signed["imageReferences"]
    (attestors,) = signed["attestors"]
    assert attestors["count"] == 1
    assert [entry["keys"]["publicKeys"] for entry in attestors["entries"]] == [
        KEY.public.pem.decode(),
        OTHER.public.pem.decode(),
    ]
    assert attestors["entries"][0]["keys"]["rekor"] == {"ignoreTlog": True}
    (claim,) = provenance["attestations"]
    assert claim["type"] == "https://slsa.dev/provenance/v1"
    assert len(claim["attestors"][0]["entries"]) == 1
    assert claim["conditions"][0]["all"][0] == {
        "key": "{{ runDetails.builder.id }}",
        "operator": "AnyIn",
        "value": ["https://b.example.org/*"],
    }
    assert result["attestations"][0]["conditions"][0]["all"][0]["value"] == ["PASSED", "WARNED"]


def test_policy_controller_gets_a_policy_for_each_requirement(export):
    """An image must satisfy every ClusterImagePolicy, and one authority of each."""
    forms = documents(export(Tool.POLICY_CONTROLLER, attestations=ATTESTED))
    assert {form["apiVersion"] for form in forms} == {"policy.sigstore.dev/v1beta1"}
    assert len({form["metadata"]["name"] for form in forms}) == len(forms) == 4
    authorities = [item for form in forms for item in form["spec"]["authorities"]]
    assert {item["signatureFormat"] for item in authorities} == {"bundle"}
    signed, sbom, provenance, _ = forms
    assert [item["key"]["data"] for item in signed["spec"]["authorities"]] == [
        KEY.public.pem.decode(),
        OTHER.public.pem.decode(),
    ]
    assert "attestations" not in signed["spec"]["authorities"][0]
    claim = sbom["spec"]["authorities"][0]["attestations"][0]
    assert claim == {"name": "sbom", "predicateType": "https://cyclonedx.org/bom"}
    cue = provenance["spec"]["authorities"][0]["attestations"][0]["policy"]
    assert cue["type"] == "cue"
    assert r'=~"^https://b\\.example\\.org/.*$"' in cue["data"]


@pytest.mark.parametrize(
    ("claims", "properties"),
    [
        ("all", ["mealkit:test-passed"]),
        (["a", "b-2"], ["mealkit:claim-passed:a", "mealkit:claim-passed:b-2"]),
    ],
)
def test_claims_are_properties_of_a_verification_result(export, claims, properties):
    """Both tools require of each verification result that it has the property of every claim."""
    attested = {"test_result": {"claims": claims}}
    (form,) = documents(export(Tool.KYVERNO, attestations=attested))
    (claim,) = form["spec"]["rules"][1]["verifyImages"][0]["attestations"]
    assert claim["type"] == "https://in-toto.io/attestation/svr/v0.2"
    assert claim["conditions"] == [
        {
            "all": [
                {"key": item, "operator": "AnyIn", "value": "{{ properties }}"}
                for item in properties
            ]
        }
    ]
    _, form = documents(export(Tool.POLICY_CONTROLLER, attestations=attested))
    (claim,) = form["spec"]["authorities"][0]["attestations"]
    assert claim["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    wanted = " & ".join(f'list.Contains("{item}")' for item in properties)
    assert claim["policy"] == {
        "type": "cue",
        "data": f'import "list"\npredicate: {{properties: {wanted}}}',
    }
    # podman reads no attestations, whatever they require.
    assert export(Tool.PODMAN, attestations={"test_result": {"claims": claims, "hardware": "gpu"}})


def test_all_signers_are_a_policy_each(export):
    """Two of two keys are two ClusterImagePolicies, and two requirements of podman."""
    forms = documents(export(Tool.POLICY_CONTROLLER, signatures={"at_least": 2}))
    assert [len(form["spec"]["authorities"]) for form in forms] == [1, 1]
    form = json.loads(export(Tool.PODMAN, signatures={"at_least": 2})["policy.json"])
    assert len(form["transports"]["docker"][PLACE]) == 2


def test_a_place_that_is_not_allowed_is_refused_in_each_tool(export):
    """A closed place below an open one stays closed."""
    places = {PLACE: {"signed_by": ["a"]}, f"{PLACE}/closed": {"allow": False}}
    (form,) = documents(export(Tool.KYVERNO, registries=places))
    signed, refused = form["spec"]["rules"]
    assert f"{PLACE}/closed/*" in signed["verifyImages"][0]["skipImageReferences"]
    conditions = refused["validate"]["foreach"][0]["deny"]["conditions"]["all"]
    assert f"{PLACE}/closed/*" in conditions[0]["value"]
    forms = documents(export(Tool.POLICY_CONTROLLER, registries=places))
    assert forms[1]["spec"]["authorities"][0]["static"]["action"] == "fail"
    form = json.loads(export(Tool.PODMAN, registries=places)["policy.json"])
    assert form["transports"]["docker"][f"{PLACE}/closed"] == [{"type": "reject"}]


def test_a_key_that_does_not_count_today_is_left_out(export):
    """A revoked key is in no export, and the rest is named that other tools do not check."""
    keys = {
        "a": {"pem": KEY.public.pem.decode(), "revoked_since": str(TODAY)},
        "b": {"pem": OTHER.public.pem.decode()},
    }
    (text,) = export(Tool.KYVERNO, keys=keys, licenses={"allow": ["MIT"]}).values()
    assert KEY.public.pem.decode().split("\n")[1] not in text
    assert "# Only mealkit checks: licenses, names." in text


@pytest.mark.parametrize(
    ("tool", "fields", "message"),
    [
        (Tool.KYVERNO, {"registries": {}}, "has no registries"),
        (
            Tool.KYVERNO,
            {
                "keys": {
                    "a": {"pem": KEY.public.pem.decode()},
                    "b": {"pem": OTHER.public.pem.decode(), "revoked_since": str(TODAY)},
                },
                "signatures": {"at_least": 2},
            },
            "expected 2",
        ),
        (
            Tool.KYVERNO,
            {
                "keys": {
                    "a": {"pem": KEY.public.pem.decode()},
                    "b": {"pem": OTHER.public.pem.decode(), "revoked_since": str(TODAY)},
                },
                "signatures": {"signed_by": ["a"]},
                "attestations": {"sbom": {"signed_by": ["b"]}},
            },
            "no key that may sign the sbom",
        ),
        (
            Tool.PODMAN,
            {"identities": {"ci": {"identity": "x", "issuer": "https://y", "trusted_root": "r"}}},
            "trusts an identity",
        ),
        (
            Tool.KYVERNO,
            {"attestations": {"test_result": {"claims": "all", "hardware": "H200"}}},
            "cannot require a test on H200",
        ),
        (
            Tool.POLICY_CONTROLLER,
            {"attestations": {"test_result": {"claims": ["a"], "results": ["PASSED", "WARNED"]}}},
            "cannot accept a claim that was not judged",
        ),
    ],
)
def test_what_a_tool_cannot_express_is_refused(export, tool, fields, message):
    """An export is as strict as the policy, or it is not written."""
    with pytest.raises(MealkitError) as caught:
        export(tool, **fields)
    assert caught.value.problems[0].code == "POLICY_EXPORT"
    assert message in caught.value.problems[0].message


@pytest.fixture
def registry():
    server = QuirkyRegistry()
    yield server
    server.close()


def test_skopeo_reads_the_policy(export, registry, tmp_path):
    """skopeo refuses an unsigned image by the exported policy.json.

    Debian's build has no sigstore signatures: it refuses the signed image, too, and says so.
    """
    image = kit_image(read_lock((ROOT / "kits/rake/kit.lock").read_bytes()))
    text = f"{registry.host}/team/rake:1.0.0"
    with Registries.from_environment() as registries:
        push(image, Reference.parse(text), registries)
    files = export(Tool.PODMAN, registries={f"{registry.host}/team": {"signed_by": ["a"]}})
    write_exported(files, tmp_path / "containers")

    def copied() -> str:
        done = subprocess.run(
            [
                need("skopeo"),
                f"--policy={tmp_path}/containers/policy.json",
                f"--registries.d={tmp_path}/containers/registries.d",
                "copy",
                "--src-tls-verify=false",
                f"docker://{text}",
                f"dir:{tmp_path}/copied",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr if done.returncode else "copied"

    assert "Source image rejected" in copied()
    sign(text, KEY, home_at(tmp_path / "home"))
    assert copied() == "copied" or "sigstore disabled" in copied()
