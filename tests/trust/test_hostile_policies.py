"""Any JSON in any place of a policy, an OSV record, a VEX document or a predicate."""

import contextlib
import datetime as dt
import json

import pytest
import yaml
from fakes.any_json import any_json, places, replaced
from fakes.policies import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.trust.decision import decide
from mealkit.trust.osv import Package, affecting, read_records
from mealkit.trust.policy_file import load_policy
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT
from mealkit.trust.vex import is_excepted, read_vex
from mealkit.untrusted import UntrustedError

RECORD = {
    "id": "X-1",
    "aliases": ["CVE-1"],
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "a"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
            "versions": ["1"],
            "ecosystem_specific": {"urgency": "low"},
        }
    ],
    "database_specific": {"severity": "HIGH"},
}
OPENVEX = {
    "statements": [
        {
            "vulnerability": {"name": "CVE-1", "aliases": ["X-1"]},
            "products": [{"@id": "pkg:pypi/a@1", "subcomponents": [{"@id": "pkg:pypi/a@1"}]}],
            "status": "not_affected",
            "timestamp": "2026-01-01",
        }
    ]
}
CYCLONEDX = {
    "components": [{"bom-ref": "a", "purl": "pkg:pypi/a@1"}],
    "vulnerabilities": [
        {
            "id": "CVE-1",
            "references": [{"id": "X-1"}],
            "analysis": {"state": "resolved"},
            "affects": [{"ref": "a"}],
        }
    ],
}
POLICY = {
    "version": "mealkit.policy/v1",
    "keys": {"a": {"pem": "x", "valid_from": "2026-01-01"}},
    "signatures": {"signed_by": ["a"], "at_least": 1, "forms": ["bundle"]},
    "registries": {"r.org": {"signed_by": ["a"], "allow": True}},
    "attestations": {"sbom": {"max_age_days": 1}, "test_result": {"results": ["PASSED"]}},
    "vulnerabilities": {"osv": ["x"], "severity": "high"},
    "licenses": {"allow": ["MIT"]},
}
PACKAGES = {("PyPI", "a"): [Package("PyPI", "a", "1", None, "pkg:pypi/a@1")]}
ODD = any_json("0", "pkg:pypi/a@1", "PyPI", "GIT", "a", "bundle")


@given(place=st.sampled_from([(), *places(RECORD)]), value=ODD)
def test_any_record_of_osv_is_evaluated_or_refused(place, value):
    """A record of any form affects packages, affects none, or is refused."""
    with contextlib.suppress(UntrustedError):
        for record in read_records(json.dumps(replaced(RECORD, place, value)).encode()):
            for found in affecting(record, PACKAGES):
                assert found.line


@given(form=st.sampled_from([OPENVEX, CYCLONEDX]), value=ODD, data=st.data())
def test_any_vex_document_is_evaluated_or_refused(form, value, data):
    """A document of any form excepts a vulnerability, excepts none, or is refused."""
    (found,) = affecting(RECORD, PACKAGES)
    place = data.draw(st.sampled_from([(), *places(form)]))
    with contextlib.suppress(UntrustedError):
        is_excepted(found, read_vex(json.dumps(replaced(form, place, value)).encode()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([(), *places(POLICY)]), value=ODD)
def test_any_policy_is_read_or_refused_with_problems(tmp_path, place, value):
    """A policy of any form is refused with problems; the one here lacks a real key."""
    path = tmp_path / "policy.yaml"
    form = replaced(POLICY, place, value)
    with contextlib.suppress(ValueError):  # YAML's writer refuses some numbers
        path.write_text(yaml.safe_dump(form))
        with pytest.raises(MealkitError) as caught:
            load_policy(path)
        codes = {item.code for item in caught.value.problems}
        assert codes <= {"POLICY_INVALID", "POLICY_UNREADABLE"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from([SBOM, PROVENANCE, TEST_RESULT]), data=st.data())
def test_any_predicate_is_decided_about(written, facts, statement, kind, data):
    """A signed statement may say anything: the decision is never an exception."""
    form = {
        "metadata": {"timestamp": "2026-01-01"},
        "runDetails": {"builder": {"id": "x"}, "metadata": {"finishedOn": "2026-01-01"}},
        "result": "PASSED",
        "configuration": [
            {
                "annotations": {
                    "test": "mealkit test",
                    "recipe": "sha256:0",
                    "started": "2026-01-01T00:00:00Z",
                    "machine": {"gpus": ["NVIDIA H200"], "cores": 8},
                    "claims": [{"claim": {"name": "a", "value": 1}, "measured": 1.0}],
                }
            },
            {"name": "datasets/a", "digest": {"sha256": "0"}},
        ],
        "passedTests": ["claims/a"],
    }
    place = data.draw(st.sampled_from(places(form)))
    predicate = replaced(form, place, data.draw(ODD))
    loaded = _policy(written)
    signed = facts(
        verified=(
            statement(),
            statement(predicate_type=kind, predicate=predicate, signed_seconds=None),
        )
    )
    assert decide(signed, loaded, dt.datetime.fromtimestamp(NOW, dt.UTC).date())


_LOADED = []


def _policy(written):
    """The policy, loaded once for all examples."""
    if not _LOADED:
        kinds = ("sbom", "provenance", "test_result")
        required = {kind: {"max_age_days": 90} for kind in kinds}
        required["provenance"] |= {"builders": ["*"]}
        required["test_result"] |= {"claims": "all", "hardware": "H200", "stale": "accept"}
        _LOADED.append(written(attestations=required))
    return _LOADED[0]
