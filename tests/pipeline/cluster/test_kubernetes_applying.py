"""A kit is rolled out on a scripted cluster by the official client, and returns if that fails."""

import json
import re

import kubernetes_validate
import pytest
import yaml
from fakes.kube_api import NAMESPACE, Fate, Refusal, crashed, kube_api, unschedulable, waiting
from fakes.reported import full_report
from fakes.reported import report as good_report
from fakes.served import ROOT

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_connection import ClusterAccess, connect
from mealkit.clusters.kubernetes_reading import watch_rollout
from mealkit.deploy.deployment_file import DeploymentFile
from mealkit.deploy.kubernetes import kubernetes_objects
from mealkit.deploy.workload import Workload
from mealkit.errors import MealkitError, problem
from mealkit.oci.reference import Reference
from mealkit.pipeline.cluster.kubernetes_applying import ApplyOptions, apply_objects
from mealkit.pipeline.cluster.kubernetes_diffing import cluster_changes
from mealkit.pipeline.cluster.kubernetes_returning import roll_back
from mealkit.pipeline.cluster.kubernetes_status import Expected, cluster_status
from mealkit.progress import SILENT
from mealkit.recipe.lock import read_lock

LOCK = read_lock((ROOT / "kits/rake/kit.lock").read_bytes())
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def objects(letter: str, **file):
    reference = Reference.parse(f"registry.example.org/team/rake@{digest(letter)}")
    form = {"replicas": 2, "auth": "off", **file}
    return kubernetes_objects(
        Workload.of(LOCK, reference, DeploymentFile.model_validate_json(json.dumps(form)))
    )


@pytest.fixture
def server():
    with kube_api() as made:
        yield made


@pytest.fixture
def api(server, tmp_path):
    connected = connect(ClusterAccess(server.kubeconfig(tmp_path / "config")))
    return KubernetesApi(connected._client, connected.namespace, pause=lambda _: None)


def applied(api, letter: str, progress=SILENT, **file):
    options = ApplyOptions(why=f"revision {letter}", seconds=60)
    return apply_objects(objects(letter, **file), api, options, progress)


def failed(api, letter: str, seconds: float = 60, **file):
    with pytest.raises(MealkitError) as error:
        apply_objects(objects(letter, **file), api, ApplyOptions(seconds=seconds), SILENT)
    return error.value


def images(server) -> set[str]:
    pods = server.named("pods").values()
    return {pod["spec"]["containers"][0]["image"].rpartition("@")[2] for pod in pods}


def test_a_kit_is_rolled_out_and_upgraded(server, api):
    """An apply makes every object, waits for the pods, and an upgrade replaces them."""
    first = applied(api, "a")
    assert (first.revision, first.changed, first.image) == (1, True, digest("a"))
    second = applied(api, "b")
    assert (second.revision, second.state.available, images(server)) == (2, 2, {digest("b")})
    assert not applied(api, "b").changed
    made = [path for method, path in server.requests if method == "PATCH" and "dryRun" not in path]
    assert "networkpolicies" in made[0]
    assert set(server.owned[f"{DEPLOYMENTS}/rake"]) == {"mealkit"}
    status = cluster_status(api, "rake", Expected(str(LOCK.recipe), digest("b")))
    assert status.is_as_expected
    assert [item.cause for item in status.revisions] == [
        "mealkit deploy apply by root: revision b",
        "mealkit deploy apply by root: revision a",
    ]


def test_everything_that_the_scripted_server_has_is_valid(server, api):
    """Its objects are valid by the official schemas, as those of a real one."""
    applied(api, "a")
    server.fates[digest("b")] = unschedulable("0/1 nodes are available: 1 Insufficient memory.")
    failed(api, "b", seconds=0.1)
    for item in server.objects.values():
        kubernetes_validate.validate(item, "1.37", strict=True)


OWN = problem("HOST_MEMORY", "memory of the machine", measured="3 GiB", required="9 GiB").as_json()
QUOTA = "pods is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"
OOM = {
    "terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": None, "finishedAt": None}
}


@pytest.mark.parametrize(
    ("fate", "code", "owner"),
    [
        (crashed(json.dumps(OWN)), "HOST_MEMORY", "platform"),
        (crashed("Traceback", 1), "POD_DIED", "kit-author"),
        (Fate(ready=False, state=OOM, last=OOM, restarts=2), "POD_MEMORY", "platform"),
        (waiting("ImagePullBackOff", "not found"), "POD_IMAGE", "platform"),
        (Fate(create_error=QUOTA), "CLUSTER_QUOTA", "platform"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), "POD_START", "platform"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rollout_that_fails_returns_by_itself(server, api, fate, code, owner):
    """The revision before answers again, the failure says why, and whose it is; exit code 16."""
    applied(api, "a")
    server.fates[digest("b")] = fate
    error = failed(api, "b")
    rollout, cause = error.problems
    assert (error.exit_code, rollout.code, rollout.owner.value) == (16, "ROLLOUT_FAILED", owner)
    assert "gate ready; revision 1 answers again" in rollout.message
    assert rollout.measured.startswith("0 of 2 new pods available")
    assert (cause.code, cause.owner.value) == (code, owner)
    assert images(server) == {digest("a")}
    status = cluster_status(api, "rake")
    assert (status.revision, status.image, status.state.complete) == (3, digest("a"), True)
    assert status.revisions[1].failed.startswith(code)


@pytest.mark.parametrize(
    ("fate", "code"),
    [
        (unschedulable("0/2 nodes are available: 2 Insufficient cpu."), "POD_UNSCHEDULABLE"),
        (waiting("ErrImagePull", "connection refused"), "POD_IMAGE"),
        (Fate(ready=False, events=(("Unhealthy", "Startup probe failed: 503"),)), "POD_PROBE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_pass_is_waited_for_until_the_time_is_up(server, api, fate, code):
    """A place, a registry or a slow start may come: only the end of the time decides."""
    applied(api, "a")
    server.fates[digest("b")] = fate
    assert failed(api, "b", seconds=1).problems[1].code == code
    assert images(server) == {digest("a")}


def test_the_first_rollout_has_nothing_to_return_to(server, api):
    """Without a revision before, the pods stay, to be looked at."""
    server.fates[digest("a")] = crashed(json.dumps(OWN))
    assert "no revision before it" in failed(api, "a").problems[0].message
    assert images(server) == {digest("a")}


def test_what_the_cluster_refuses_changes_nothing(server, api):
    """An object that the cluster refuses in its dry run leaves all others as they are."""
    server.refusals.append(Refusal("PATCH", "/services/", 422, "Service is invalid: spec.ports"))
    assert failed(api, "a").problems[0].code == "CLUSTER_REFUSED"
    assert server.objects == {}


def test_fields_of_other_programs_stay_theirs_unless_taken(server, api):
    """A conflict names the program and the field; --force-conflicts takes the field over."""
    applied(api, "a")
    path = f"{DEPLOYMENTS}/rake"
    server.owned[path]["autoscaler"] = {("f:spec", "f:replicas"): 5}
    server.objects[path]["spec"]["replicas"] = 5
    found = failed(api, "a").problems[0]
    assert (found.code, found.owner.value) == ("CLUSTER_CONFLICT", "caller")
    assert ".spec.replicas is managed by autoscaler" in found.message
    apply_objects(objects("a"), api, ApplyOptions(force=True, wait=False), SILENT)
    assert server.objects[path]["spec"]["replicas"] == 2


def test_a_deployment_that_another_program_changed_is_left_alone(server, api):
    """The way back does not undo what another program applied in the meantime."""
    applied(api, "a")
    server.fates[digest("b")] = crashed(json.dumps(OWN))
    meet = server._meet

    def meet_and_change(pod, deployment):
        meet(pod, deployment)
        server.objects[f"{DEPLOYMENTS}/rake"]["spec"]["template"]["spec"]["dnsPolicy"] = "None"

    server._meet = meet_and_change
    found = failed(api, "b").problems[0]
    assert "could not return to revision 1: another program changed" in found.message


def test_a_rollout_outlives_an_api_server_that_is_away(server, api):
    """Longer than a single request is repeated: the cluster itself goes on."""
    applied(api, "a")
    for code in (503, 0):
        server.refusals.append(Refusal("GET", "/replicasets", code, "restarting", times=6))
    assert applied(api, "b").state.complete
    assert [item.times for item in server.refusals] == [0, 0]


def test_who_may_not_read_events_still_gets_the_way_back(server, api):
    """Events only explain; the state of the pods decides."""
    applied(api, "a")
    server.fates[digest("b")] = crashed(json.dumps(OWN))
    denied = 'events is forbidden: User "ann" cannot list resource "events" in API group ""'
    server.refusals.append(Refusal("GET", "/events", 403, denied, times=999))
    assert "revision 1 answers again" in failed(api, "b").problems[0].message


@pytest.mark.parametrize("begins", [True, False])
def test_the_deadline_of_the_rollout_before_does_not_count(server, api, begins):
    """The cluster still states it, until it has begun with the present one."""
    applied(api, "a")
    deployment = server.objects[f"{DEPLOYMENTS}/rake"]
    done = deployment["status"]
    reason = {"reason": "ProgressDeadlineExceeded", "message": ""}
    overdue = {"type": "Progressing", "status": "False", **reason}
    deployment["status"] = {**done, "updatedReplicas": 0, "conditions": [overdue]}
    times = iter(range(1000))

    def clock() -> float:
        if (now := next(times)) == 4 and begins:
            deployment["status"] = done
        return float(now)

    state = watch_rollout(api, "rake", 60, SILENT, clock)
    assert (state.complete, state.is_overdue) == (begins, not begins)
    assert next(times) < 30


def test_a_deployment_of_others_is_not_returned(server, api):
    """mealkit would take over all of its fields."""
    applied(api, "a")
    applied(api, "b")
    del server.objects[f"{DEPLOYMENTS}/rake"]["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    with pytest.raises(MealkitError, match="was not rendered by mealkit"):
        roll_back(api, "rake", None, ApplyOptions(), SILENT)
    assert images(server) == {digest("b")}


def test_a_way_back_is_chosen_and_kept(server, api):
    """A rollback goes to the revision before that did not fail, or to a named one, and says why."""
    applied(api, "a")
    applied(api, "b")
    server.fates[digest("c")] = crashed(json.dumps(OWN))
    failed(api, "c")
    back = roll_back(api, "rake", None, ApplyOptions(why="wrong answers", seconds=60), SILENT)
    assert (back.image, back.revisions[0].cause) == (
        digest("a"),
        "mealkit deploy rollback to revision 1 by root: wrong answers",
    )
    numbers = {item.image: item.number for item in back.revisions}
    again = roll_back(api, "rake", numbers[digest("b")], ApplyOptions(seconds=60), SILENT)
    assert (again.image, images(server)) == (digest("b"), {digest("b")})
    changes = {item.name for item in cluster_changes(objects("b"), api, SILENT)}
    assert "deployments/rake" not in changes
    with pytest.raises(MealkitError) as error:
        roll_back(api, "rake", 99, ApplyOptions(), SILENT)
    assert "keeps no revision 99; it keeps" in error.value.problems[0].message


def test_a_difference_is_shown_without_what_the_cluster_writes(server, api):
    """A diff has the changed lines, no managed fields, and no values of secrets."""
    applied(api, "a")
    changes = {item.name: item for item in cluster_changes(objects("b", replicas=3), api, SILENT)}
    text = "\n".join(changes["deployments/rake"].lines)
    assert "-  replicas: 2\n+  replicas: 3" in text
    assert "managedFields" not in text
    assert "resourceVersion" not in text
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"a": "hush"},
    }
    (shown,) = cluster_changes([secret], api, SILENT)
    assert shown.is_new
    assert "hush" not in "\n".join(shown.lines)


def gated(server, api, **fates):
    server.fates |= fates
    return applied(api, "b", rollout={"gate": "candidate"})


def test_a_candidate_is_tested_before_anything_is_replaced(server, api):
    """The Job's report becomes the revision's result, and the candidate is deleted."""
    applied(api, "a")
    good = good_report()
    done = gated(server, api, gate=Fate(log=f"testing {{}}\n{good.as_json().decode()}"))
    assert done.gate.report == good
    assert set(server.named("deployments")) == {"rake"}
    assert server.named("jobs") == {}
    assert "claims" in cluster_status(api, "rake").revisions[0].claims


def test_a_candidate_whose_claims_fail_replaces_nothing(server, api):
    """A claim that does not hold stops the rollout with its numbers and its owner."""
    applied(api, "a")
    ended = {"terminated": {"exitCode": 14, "startedAt": None, "finishedAt": None}}
    server.fates["gate"] = Fate(ready=False, state=ended, log=full_report().as_json().decode())
    error = failed(api, "b", rollout={"gate": "candidate"})
    rollout, cause = error.problems
    assert "gate claims" in rollout.message
    assert (cause.code, rollout.owner, error.exit_code) == ("TEST_FAILED", cause.owner, 16)
    assert images(server) == {digest("a")}
    assert set(server.named("deployments")) == {"rake"}


def test_a_candidate_that_does_not_start_replaces_nothing(server, api):
    """The candidate's problem is told, and the pods that answer were not touched."""
    applied(api, "a")
    server.fates[digest("b")] = crashed(json.dumps(OWN))
    rollout, cause = failed(api, "b", rollout={"gate": "candidate"}).problems
    assert "the candidate rake-candidate is not ready; nothing was replaced" in rollout.message
    assert cause.code == "HOST_MEMORY"
    assert images(server) == {digest("a")}


PAGE = (ROOT / "docs/how-to/roll-out-on-kubernetes.md").read_text("utf-8")
REQUEST = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/v1)/namespaces/[^/]+/(?P<kind>[a-z]+)(?P<name>/[^/?]+)?(?P<part>/log)?"
)


def asked_for(method: str, path: str) -> tuple[str, str, str]:
    """Return the right that a request needs: group, resource and verb."""
    found = REQUEST.match(path)
    verbs = {"PATCH": "patch", "DELETE": "delete", "GET": "get" if found["name"] else "list"}
    verb = "watch" if "watch=true" in path else verbs[method]
    return found["group"] or "", f"{found['kind']}{found['part'] or ''}", verb


def test_the_documented_role_allows_everything_that_is_asked(server, api):
    """Applying with a gate, failing, returning, comparing and looking need no other right."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    role, _ = yaml.safe_load_all(text)
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    weights = {"weights": {"in": "pvc"}, "monitoring": {"service_monitor": True}}
    applied(api, "a", **weights)
    server.fates["gate"] = Fate(log=good_report().as_json().decode())
    applied(api, "c", rollout={"gate": "candidate"}, ingress={"host": "kit.example.org"})
    server.fates[digest("b")] = crashed("Traceback", 1)
    failed(api, "b")
    cluster_changes(objects("b"), api, SILENT)
    roll_back(api, "rake", None, ApplyOptions(seconds=60), SILENT)
    assert {asked_for(*request) for request in server.requests} <= allowed


def test_pods_of_a_volume_wait_for_the_job_that_fills_it(server, api):
    """The Job that copies weights ends before the pods start; a failed one is run again."""
    weights = {"weights": {"in": "pvc"}}
    ended = {
        "terminated": {"exitCode": 7, "message": "disk full", "startedAt": None, "finishedAt": None}
    }
    server.fates["weights"] = Fate(ready=False, state=ended)
    assert "has not copied the weights" in failed(api, "a", **weights).problems[0].message
    assert server.named("deployments") == {}
    del server.fates["weights"]
    assert applied(api, "a", **weights).state.complete
