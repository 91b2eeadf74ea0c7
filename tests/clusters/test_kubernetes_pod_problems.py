"""What keeps a pod from answering becomes a problem with an owner."""

import json

import pytest
from fakes.kube_api import Fate, crashed, unschedulable, waiting

from mealkit.clusters.kubernetes_pod_problems import creation_problem, pod_problem
from mealkit.clusters.kubernetes_views import Event, Pod, ReplicaSet
from mealkit.errors import problem

OWN = problem("FIT_VRAM", "free memory of each GPU", measured="3 GiB", required="9 GiB").as_json()
PLACES = "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient nvidia.com/gpu."
BACK_OFF = 'Back-off pulling image "registry.example.org/kit@sha256:1"'
NOT_FOUND = "failed to pull and unpack image: registry.example.org/kit@sha256:1: not found"
DOWN = "failed to do request: dial tcp: connection refused"
MISSING = 'secret "my-kit-keys" not found'
KILLED = {"exitCode": 137, "reason": "OOMKilled"}


def pod(fate: Fate, limit: str | None = "2Gi") -> Pod:
    limits = {"memory": limit} if limit else {}
    return Pod.model_validate(
        {
            "metadata": {"name": "kit-1", "uid": "u"},
            "spec": {
                "nodeName": "node-1",
                "containers": [{"name": "kit", "resources": {"limits": limits}}],
            },
            "status": {
                "phase": fate.phase,
                "reason": fate.reason,
                "message": fate.message,
                "conditions": list(fate.conditions),
                "containerStatuses": [
                    {
                        "name": "kit",
                        "image": "i",
                        "state": fate.state,
                        "lastState": fate.last,
                        "restartCount": fate.restarts,
                    }
                ],
            },
        }
    )


def events(*pairs: tuple[str, str]) -> list[Event]:
    about = {"kind": "Pod", "name": "kit-1", "uid": "u"}
    return [
        Event.model_validate({"reason": reason, "message": text, "involvedObject": about})
        for reason, text in pairs
    ]


def oom() -> Fate:
    return Fate(ready=False, state={"terminated": KILLED}, last={"terminated": KILLED})


@pytest.mark.parametrize(
    ("fate", "told", "code", "owner", "final", "said"),
    [
        (crashed(json.dumps(OWN)), (), "FIT_VRAM", "platform", True, "free memory"),
        (
            crashed("loading\nmore\n" + json.dumps(OWN) + "\n"),
            (),
            "FIT_VRAM",
            "platform",
            True,
            "free memory",
        ),
        (
            crashed(json.dumps({**OWN, "owner": "caller"})),
            (),
            "FIT_VRAM",
            "platform",
            True,
            "free memory",
        ),
        (crashed("Traceback ...", 1), (), "POD_DIED", "kit-author", True, "exit code 1"),
        (crashed("", 132), (), "ENGINE_ILLEGAL_INSTRUCTION", "kit-author", True, "SIGILL"),
        (crashed("{not json", 1), (), "POD_DIED", "kit-author", True, "exit code 1"),
        (oom(), (), "POD_MEMORY", "platform", True, "killed"),
        (
            waiting("ImagePullBackOff", BACK_OFF),
            (("Failed", f"Failed to pull image: {NOT_FOUND}"),),
            "POD_IMAGE",
            "platform",
            True,
            "not found",
        ),
        (waiting("ErrImagePull", DOWN), (), "POD_IMAGE", "platform", False, "connection refused"),
        (waiting("InvalidImageName", "couldn't parse"), (), "POD_IMAGE", "platform", True, "parse"),
        (
            waiting("CreateContainerConfigError", 'secret "my-kit-keys" not found'),
            (),
            "POD_START",
            "platform",
            True,
            "my-kit-keys",
        ),
        (
            waiting("RunContainerError", "nvidia-container-cli: no device"),
            (),
            "POD_START",
            "platform",
            False,
            "no device",
        ),
        (
            waiting("ContainerCreating", ""),
            (("FailedMount", 'MountVolume.SetUp failed for volume "keys" : ' + MISSING),),
            "POD_START",
            "platform",
            True,
            MISSING,
        ),
        (
            waiting("ContainerCreating", ""),
            (("FailedMount", "MountVolume.SetUp failed for volume weights"),),
            "POD_START",
            "platform",
            False,
            "weights",
        ),
        (
            unschedulable(PLACES),
            (),
            "POD_UNSCHEDULABLE",
            "platform",
            False,
            "Insufficient nvidia.com/gpu",
        ),
        (
            unschedulable(PLACES),
            (("TriggeredScaleUp", "pod triggered scale-up"),),
            "POD_UNSCHEDULABLE",
            "platform",
            False,
            "adds a node",
        ),
        (
            Fate(
                ready=False,
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: ephemeral-storage",
            ),
            (),
            "POD_EVICTED",
            "platform",
            True,
            "ephemeral-storage",
        ),
        (
            crashed("", 137),
            (("Killing", "Container kit failed startup probe, will be restarted"),),
            "POD_PROBE",
            "platform",
            True,
            "startup probe",
        ),
    ],
)
def test_a_pod_that_does_not_start_has_a_problem_with_an_owner(
    fate, told, code, owner, final, said
):
    """The container's own words come first, then what the cluster says about it."""
    found = pod_problem(pod(fate), events(*told), lambda *_: "")
    assert (found.problem.code, found.problem.owner.value, found.is_final) == (code, owner, final)
    assert said in found.problem.message
    assert "kit-1" in found.problem.where


def test_numbers_are_told():
    """A pod without a place says how many nodes fit, one out of memory which limit it reached."""
    found = pod_problem(pod(unschedulable(PLACES)), (), lambda *_: "").problem
    assert (found.measured, found.required) == ("0 of 3 nodes fit", "one node that fits")
    found = pod_problem(pod(oom()), (), lambda *_: "").problem
    assert (found.measured, found.required) == (
        "the limit of 2Gi is used up",
        "a memory limit above 2Gi",
    )
    assert "the node ran out" in pod_problem(pod(oom(), None), (), lambda *_: "").problem.message


def test_the_log_says_what_the_termination_message_does_not():
    """The log of the container before the restart is read, and known messages are recognised."""
    asked = []

    def log(*what):
        asked.append(what)
        return "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."

    found = pod_problem(pod(crashed("", 1)), (), log).problem
    assert found.code == "FIT_VRAM"
    assert asked == [("kit-1", "kit", False)]


@pytest.mark.parametrize(
    "fate",
    [Fate(), Fate(ready=False), waiting("ContainerCreating", ""), waiting("PodInitializing", "")],
)
def test_a_pod_on_its_way_has_no_problem(fate):
    """A pod that starts is left in peace, also one whose volume was missing before it started."""
    assert pod_problem(pod(fate), (), lambda *_: "") is None
    mounted = events(("FailedMount", MISSING))
    found = pod_problem(pod(fate), mounted, lambda *_: "")
    assert (found is None) == (fate.phase == "Running")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "pods is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5",
            "CLUSTER_QUOTA",
        ),
        ('pods is forbidden: violates PodSecurity "restricted:latest"', "CLUSTER_REFUSED"),
        ("serviceaccount my-kit not found", "CLUSTER_REFUSED"),
    ],
)
def test_pods_that_cannot_be_created_say_why(message, code):
    """A quota or a security standard shows in the replica set, or in its events."""
    made = {
        "metadata": {"name": "rs"},
        "status": {
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]
        },
    }
    assert creation_problem([ReplicaSet.model_validate(made)], ()).code == code
    about = {"reason": "FailedCreate", "message": message, "involvedObject": {"name": "rs"}}
    plain = ReplicaSet.model_validate({"metadata": {"name": "rs"}})
    assert creation_problem([plain], [Event.model_validate(about)]).code == code
    assert creation_problem([plain], ()) is None
