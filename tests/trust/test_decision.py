"""The decision of a policy: each rule with what it accepts and what it refuses."""

import datetime as dt
from dataclasses import replace

import pytest
from fakes.policies import DAY, IMAGE, NOW, OTHER, line_of

from mealkit.errors import MealkitError
from mealkit.trust.decision import decide
from mealkit.trust.rule_results import RuleResult
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT, Form

TODAY = dt.datetime.fromtimestamp(NOW, dt.UTC).date()
PLACE = "registry.example.org/team/rake:1.0.0"


def rule(findings: tuple[RuleResult, ...], name: str) -> RuleResult:
    (found,) = (item for item in findings if item.rule == name)
    return found


def test_a_signature_by_a_key_of_the_policy_is_enough(written, facts):
    """A policy with keys and no other rule accepts an image that one of them has signed."""
    found = rule(decide(facts(), written(), TODAY), "signatures")
    assert (found.passed, found.measured) == (True, "1 valid signature")


@pytest.mark.parametrize(
    ("by", "changes", "reason"),
    [
        ("c", {}, "is not in the policy"),
        ("a", {"subject": OTHER}, f"of another image, {OTHER}"),
        ("a", {"predicate_type": SBOM}, "no valid signature"),
        ("a", {"form": Form.SIMPLE_SIGNING}, "simple-signing does not count"),
        ("a", {"signed_seconds": NOW + 3 * DAY}, "in the future"),
        ("a", {"signed_seconds": 10**18}, "in the future"),
    ],
    ids=["another key", "replay", "attestation", "downgrade", "future", "absurd time"],
)
def test_a_signature_that_does_not_count_is_refused_with_the_reason(
    written, facts, statement, by, changes, reason
):
    """Another key, another image, another form or time: no signature counts, and it says why."""
    signed = facts(verified=(statement(by, **changes),))
    found = rule(decide(signed, written(), TODAY), "signatures")
    assert not found.passed
    assert reason in found.measured


@pytest.mark.parametrize(
    ("period", "age_days", "refused_line"),
    [
        ({"valid_until": TODAY}, 0, None),
        ({"valid_until": TODAY - dt.timedelta(1)}, 0, "valid_until"),
        ({"valid_until": TODAY - dt.timedelta(1)}, 1, None),
        ({"valid_from": TODAY}, 1, "valid_from"),
        ({"valid_from": TODAY}, 0, None),
        ({"revoked_since": TODAY}, 400, "revoked_since"),
        ({"revoked_since": TODAY + dt.timedelta(1)}, 0, None),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_the_period_of_a_key_decides(written, facts, statement, period, age_days, refused_line):
    """A key counts for what it signed in its period; after its revocation, for nothing."""
    loaded = written(key_fields={"a": {name: str(day) for name, day in period.items()}})
    signed = facts(verified=(statement(signed_seconds=NOW - age_days * DAY),))
    found = rule(decide(signed, loaded, TODAY), "signatures")
    assert found.passed is (refused_line is None)
    if refused_line:
        assert found.where == line_of(loaded, refused_line)


def test_a_signature_without_a_time_counts_as_made_today(written, facts, statement):
    """A key that has ended does not count for a signature that states no time."""
    loaded = written(key_fields={"a": {"valid_until": str(TODAY - dt.timedelta(1))}})
    signed = facts(verified=(statement(signed_seconds=None),))
    assert not rule(decide(signed, loaded, TODAY), "signatures").passed


def test_signers_are_counted_once(written, facts, statement, public_keys):
    """Two signatures by one key, even under two names, are one signer of two that are needed."""
    loaded = written(key_fields={"b": {"pem": public_keys["a"]}}, signatures={"at_least": 2})
    twice = facts(verified=(statement(), statement(artifact=OTHER)))
    assert not rule(decide(twice, loaded, TODAY), "signatures").passed
    loaded = written(signatures={"at_least": 2})
    both = facts(verified=(statement("a"), statement("b")))
    assert rule(decide(both, loaded, TODAY), "signatures").passed


def test_the_signature_of_an_index_covers_its_image(written, facts, statement):
    """An image is accepted by the signature of an index that lists it."""
    signed = facts(subjects=frozenset({IMAGE, OTHER}), verified=(statement(subject=OTHER),))
    assert rule(decide(signed, written(), TODAY), "signatures").passed


def test_a_key_that_is_revoked_under_one_name_does_not_count_under_another(
    written, facts, statement, public_keys
):
    """A key under two names may sign where one of them may, until it is revoked under any."""
    second = {"pem": public_keys["a"]}
    signed = facts(verified=(statement(),))
    loaded = written(key_fields={"b": second}, signatures={"signed_by": ["b"]})
    assert rule(decide(signed, loaded, TODAY), "signatures").passed
    loaded = written(key_fields={"b": {**second, "revoked_since": str(TODAY)}})
    found = rule(decide(signed, loaded, TODAY), "signatures")
    assert (found.passed, found.where) == (False, line_of(loaded, "revoked_since"))
    assert "b is revoked since" in found.measured


@pytest.mark.parametrize(
    ("reference", "passed"),
    [
        ("REGISTRY.example.org/team/rake:1.0.0", True),
        ("registry.example.org/Closed", None),
        ("Registry.Example.Org/closed/rake:1.0.0", False),
        ("registry.example.org:5000/team/rake:1.0.0", False),
        ("registry.example.net:5000/rake:1.0.0", True),
        ("inner.EXAMPLE.com/rake:1.0.0", True),
        ("docker.io/rake:1.0.0", False),
        ("index.docker.io/library/rake:1.0.0", False),
        ("registry-1.docker.io/team/rake:1.0.0", True),
        ("docker.io/team/rake:1.0.0", True),
    ],
)
def test_a_place_has_several_spellings(written, facts, statement, reference, passed):
    """A rule is about a place, in whatever case of the host and by which name of Docker Hub."""
    if passed is None:
        with pytest.raises(MealkitError):
            facts(reference)
        return
    loaded = written(
        registries={
            "registry.example.org": {},
            "registry.example.org/closed": {"allow": False},
            "registry.example.net:5000": {},
            "*.Example.com": {},
            "index.docker.io": {},
            "docker.io/library": {"allow": False},
        }
    )
    found = decide(facts(reference, verified=(statement(),)), loaded, TODAY)
    assert all(item.passed for item in found) is passed


@pytest.mark.parametrize(
    ("reference", "passed", "by"),
    [
        ("registry.example.org/team/rake:1.0.0", True, "a"),
        ("registry.example.org/team/rake:1.0.0", False, "b"),
        ("registry.example.org/team/inner/rake:1.0.0", True, "b"),
        ("registry.example.org/teammate/rake:1.0.0", False, "a"),
        ("mirror.example.com/rake:1.0.0", True, "b"),
        ("example.com/rake:1.0.0", False, "b"),
        ("registry.example.org/closed/rake:1.0.0", False, "a"),
    ],
)
def test_the_longest_scope_of_a_place_decides(written, facts, statement, reference, passed, by):
    """The rule of the longest matching scope says whether a place is allowed, and who signs."""
    loaded = written(
        registries={
            "registry.example.org/team": {"signed_by": ["a"]},
            "registry.example.org/team/inner": {"signed_by": ["b"]},
            "registry.example.org/closed": {"allow": False},
            "*.example.com": {},
        }
    )
    found = decide(facts(reference, verified=(statement(by),)), loaded, TODAY)
    assert all(item.passed for item in found) is passed


@pytest.mark.parametrize(
    ("reference", "passed"),
    [
        ("registry.example.org/rake:1.0.0", True),
        ("registry.example.org/rake:v1.0.0", True),
        ("registry.example.org/rake:1.0", True),
        ("registry.example.org/rake:stable", True),
        (f"registry.example.org/rake@{IMAGE}", True),
        ("registry.example.org/rake:1.0.0-lean", True),
        ("registry.example.org/rake:1.0.1", False),
        ("registry.example.org/rake:1.0.1-lean", False),
        ("registry.example.org/rake:1.0.0-rc1", False),
        ("registry.example.org/chat:1.0.0", False),
    ],
)
def test_a_reference_names_the_kit_that_is_in_it(written, facts, reference, passed):
    """Another kit, or another version, under a tag is refused although it is signed."""
    assert rule(decide(facts(reference), written(), TODAY), "names").passed is passed
    found = decide(facts(reference), written(names="any"), TODAY)
    assert all(item.passed for item in found)


@pytest.mark.parametrize(
    ("fields", "passed", "measured"),
    [
        ({"bases": {"debian": ["trixie"]}}, True, "Debian trixie"),
        ({"bases": {"debian": ["bookworm"]}}, False, "Debian trixie"),
        ({"bases": {"images": ["*"]}}, False, "Debian trixie"),
        ({"licenses": {"allow": ["Apache-2.0"]}}, True, "the weights: Apache-2.0"),
        ({"licenses": {"allow": ["MIT"]}}, False, "the kit: Apache-2.0"),
        ({"licenses": {"deny": ["apache-2.0"]}}, False, "the weights: Apache-2.0"),
        ({"owners": [{"team": "mealkit *"}]}, True, "mealkit maintainers"),
        ({"owners": [{"team": "*", "contact": "mailto:*"}]}, False, "https://mealkit.dev"),
        ({"owners": [{"team": "[m]ealkit*"}]}, False, "mealkit maintainers"),
        ({"engines": ["python"]}, True, "python"),
        ({"engines": ["onnx"]}, False, "python"),
    ],
)
def test_the_content_of_a_kit_is_compared_with_its_rule(written, facts, fields, passed, measured):
    """Base, licences, owner and engine in the image's lock decide."""
    (name,) = fields
    found = rule(decide(facts(), written(**fields), TODAY), name)
    assert found.passed is passed
    assert measured in found.measured


ATTESTED = {
    "sbom": (SBOM, {"metadata": {"timestamp": "2026-11-01T00:00:00Z"}}),
    "provenance": (PROVENANCE, {"runDetails": {"builder": {"id": "https://b.example.org/1"}}}),
    "test_result": (TEST_RESULT, {"result": "PASSED"}),
}


@pytest.mark.parametrize(
    ("kind", "required", "changes", "reason"),
    [
        ("sbom", {}, {}, None),
        ("sbom", {}, {"predicate_type": f"{SBOM}/v1.6"}, None),
        ("sbom", {}, {"predicate_type": PROVENANCE}, "no SBOM"),
        ("sbom", {}, {"subject": OTHER}, "no SBOM"),
        ("sbom", {}, {"form": Form.SIMPLE_SIGNING}, "no SBOM"),
        ("sbom", {"signed_by": ["b"]}, {}, "a may not sign this"),
        ("sbom", {"max_age_days": 30}, {"signed_seconds": NOW - 30 * DAY}, None),
        ("sbom", {"max_age_days": 30}, {"signed_seconds": NOW - 31 * DAY}, "31 days old"),
        ("sbom", {"max_age_days": 30}, {"signed_seconds": None}, None),
        ("sbom", {"max_age_days": 20}, {"signed_seconds": None}, "days old"),
        ("sbom", {"max_age_days": 9}, {"signed_seconds": None, "predicate": {}}, "no date"),
        ("provenance", {"builders": ["https://b.example.org/*"]}, {}, None),
        ("provenance", {"builders": ["https://c.example.org/*"]}, {}, "b.example.org/1"),
        ("provenance", {"builders": ["*"]}, {"predicate": {"runDetails": []}}, "no builder"),
        ("test_result", {}, {}, None),
        ("test_result", {}, {"predicate": {"result": "FAILED"}}, "the result FAILED"),
        ("test_result", {"results": ["WARNED"]}, {}, "the result PASSED"),
    ],
)
def test_a_required_attestation(written, facts, statement, kind, required, changes, reason):
    """An attestation counts by its type, subject, signer, age and content."""
    predicate_type, predicate = ATTESTED[kind]
    attested = statement(predicate_type=predicate_type, predicate=predicate)
    loaded = written(attestations={kind: required})
    signed = facts(verified=(statement(), replace(attested, **changes)))
    found = rule(decide(signed, loaded, TODAY), f"attestations.{kind}")
    assert found.passed is (reason is None)
    assert (reason or "") in found.measured


def test_the_newest_test_result_counts(written, facts, statement):
    """A test that failed at the time of one that passed, or later, refuses the image."""
    passed = statement(predicate_type=TEST_RESULT, predicate={"result": "PASSED"})
    failed = replace(passed, predicate={"result": "FAILED"})
    loaded = written(attestations={"test_result": {}})
    hour, same = 60 * 60, 0
    for older, newer, earlier, accepted in (
        (passed, failed, DAY, False),
        (failed, passed, DAY, True),
        (passed, failed, hour, False),
        (failed, passed, hour, True),
        (passed, failed, same, False),
        (failed, passed, same, False),
    ):
        both = (statement(), replace(older, signed_seconds=NOW - earlier), newer)
        found = rule(decide(facts(verified=both), loaded, TODAY), "attestations.test_result")
        assert found.passed is accepted


@pytest.mark.parametrize(
    ("purl", "passed"),
    [
        (f"pkg:oci/rake@sha256%3A{IMAGE.hex}?arch=amd64", True),
        (f"pkg:oci/rake@{OTHER}", False),
        (f"pkg:oci/rake@sha256%3A{OTHER.hex}", False),
        ("pkg:oci/rake@1.0.0", True),
        ("pkg:generic/rake", True),
        (5, True),
    ],
)
def test_an_sbom_whose_content_is_about_another_image_does_not_count(
    written, facts, statement, purl, passed
):
    """A trusted key may sign the wrong file: an SBOM that names an image must name this one."""
    content = {"metadata": {"component": {"purl": purl}}}
    sbom = statement(predicate_type=SBOM, predicate=content)
    loaded = written(attestations={"sbom": {}})
    found = decide(facts(verified=(statement(), sbom)), loaded, TODAY)
    result = rule(found, "attestations.sbom")
    assert result.passed is passed
    assert passed or "an SBOM of another image" in result.measured


@pytest.mark.parametrize("said", ["allow", "refuse"])
def test_a_kit_that_is_built_here_needs_no_signature_but_the_right_content(written, facts, said):
    """local_builds decides about a kit's folder; the rules about its content still count."""
    loaded = written(
        local_builds=said, engines=["onnx"], attestations={"sbom": {}}, registries={"a.org": {}}
    )
    found = decide(facts(verified=(), built_here=True), loaded, TODAY)
    assert {item.rule: item.passed for item in found} == {
        "local_builds": said == "allow",
        "engines": False,
    }


def test_a_refusal_names_rule_line_values_and_owner(written, facts):
    """The problem of a rule has all that a reader needs, and whom to ask about the policy."""
    owner = {"team": "Platform", "contact": "mailto:p@example.org", "support": "weekdays"}
    loaded = written(owner=owner, engines=["onnx"])
    found = rule(decide(facts(), loaded, TODAY), "engines")
    problem = found.as_problem(facts(), loaded.policy.owner)
    assert problem.code == "POLICY_ENGINE"
    assert problem.where == line_of(loaded, "engines")
    assert (problem.measured, problem.required) == ("python", "onnx")
    assert problem.owner == "kit-author"
    assert problem.contact
    assert problem.contact.team == "mealkit maintainers"
    assert "the policy's owner is Platform, mailto:p@example.org" in problem.hint
    assert (
        MealkitError(problem).problems[0].sentence.startswith("rake:1.0.0 is refused by the rule")
    )
