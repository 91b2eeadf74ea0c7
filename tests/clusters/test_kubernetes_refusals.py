"""What an API server refuses becomes a problem with an owner and a hint."""

import pytest

from mealkit.clusters.kubernetes_refusals import Asked, ConflictError, GoneError, refusal

ASKED = Asked("https://cluster.example.org:6443", "patch /apis/apps/v1/x", "kits")

FORBIDDEN = (
    'deployments.apps "my-kit" is forbidden: User "ann" cannot patch resource "deployments" in API'
    ' group "apps" in the namespace "kits"'
)
NODES = 'nodes is forbidden: User "ann" cannot list resource "nodes" in API group "" at the cluster scope'
LOG = 'pods "x" is forbidden: User "ann" cannot get resource "pods/log" in API group "" in the namespace "kits"'
QUOTA = (
    'pods "my-kit-1" is forbidden: exceeded quota: compute, requested: requests.memory=8Gi,'
    " used: requests.memory=30Gi, limited: requests.memory=32Gi"
)
SECURITY = (
    'pods "my-kit-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation'
    " != false"
)
WEBHOOK = 'admission webhook "policy.example.org" denied the request: image is not signed'
POLICY = "ValidatingAdmissionPolicy 'images' with binding 'all' denied request: no digest"


@pytest.mark.parametrize(
    ("status", "message", "code", "owner", "said"),
    [
        (401, "Unauthorized", "CLUSTER_CREDENTIALS", "caller", "log in"),
        (
            403,
            FORBIDDEN,
            "CLUSTER_DENIED",
            "platform",
            "kubectl create role mealkit --verb=patch --resource=deployments.apps",
        ),
        (
            403,
            NODES,
            "CLUSTER_DENIED",
            "platform",
            "kubectl create clusterrole mealkit --verb=list --resource=nodes, with a ClusterRoleBinding",
        ),
        (403, LOG, "CLUSTER_DENIED", "platform", "--verb=get --resource=pods/log"),
        (403, QUOTA, "CLUSTER_QUOTA", "platform", "ResourceQuota"),
        (403, SECURITY, "CLUSTER_REFUSED", "platform", "restricted"),
        (400, WEBHOOK, "CLUSTER_REFUSED", "platform", "policy.example.org"),
        (422, POLICY, "CLUSTER_REFUSED", "platform", "rule images"),
        (
            404,
            'namespaces "kits" not found',
            "CLUSTER_NAMESPACE",
            "platform",
            "kubectl create namespace kits",
        ),
        (
            404,
            "the server could not find the requested resource",
            "CLUSTER_KIND_MISSING",
            "platform",
            "CustomResourceDefinition",
        ),
        (
            404,
            'deployments.apps "x" not found',
            "CLUSTER_NOT_DEPLOYED",
            "caller",
            "mealkit deploy apply",
        ),
        (
            422,
            'Service "x" is invalid: spec.ports: Required value',
            "CLUSTER_REFUSED",
            "platform",
            "field",
        ),
        (429, "too many requests", "CLUSTER_BUSY", "platform", "later"),
        (500, "etcdserver: request timed out", "CLUSTER_BUSY", "platform", "readyz"),
        (
            500,
            f"Internal error occurred: {WEBHOOK}",
            "CLUSTER_REFUSED",
            "platform",
            "policy.example.org",
        ),
    ],
)
def test_a_refusal_has_an_owner_and_a_hint(status, message, code, owner, said):
    """Each kind of refusal has its code, its owner, the server's words and what to do."""
    found = refusal(status, {"message": message}, ASKED).problems[0]
    assert (found.code, found.owner.value) == (code, owner)
    assert said in found.hint
    assert message in found.message
    assert "cluster.example.org" in found.where


def test_a_quota_is_told_with_its_numbers():
    """The problem of a quota says what was requested, what is used and the limit."""
    found = refusal(403, {"message": QUOTA}, ASKED).problems[0]
    assert found.measured == "requested requests.memory=8Gi, used requests.memory=30Gi"
    assert found.required == "at most requests.memory=32Gi"


def test_a_conflict_names_the_other_manager_and_the_field():
    """Fields of other managers are listed with the manager's name; the hint says how to take them."""
    cause = {
        "reason": "FieldManagerConflict",
        "field": ".spec.replicas",
        "message": 'conflict with "hpa" using apps/v1',
    }
    found = refusal(
        409, {"message": "Apply failed", "details": {"causes": [cause]}}, ASKED
    ).problems[0]
    assert found.code == "CLUSTER_CONFLICT"
    assert ".spec.replicas is managed by hpa" in found.message
    assert "--force-conflicts" in found.hint


@pytest.mark.parametrize(("status", "error"), [(409, ConflictError), (410, GoneError)])
def test_what_has_to_be_asked_again_is_no_problem(status, error):
    """A changed object, and a place that is too old, are for the caller to ask again."""
    with pytest.raises(error):
        refusal(status, {"message": "the object has been modified"}, ASKED)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"message": 7},
        {"message": "x" * 10**6},
        {"message": "a\x1b[31m\nb", "details": {"causes": 3}},
    ],
)
def test_a_hostile_refusal_is_short_and_on_one_line(answer):
    """Whatever a server answers, the problem is short and without control characters."""
    found = refusal(400, answer, ASKED).problems[0]
    assert len(found.message) < 2100
    assert found.message.isprintable()
