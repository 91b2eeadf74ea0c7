"""The services of a deployment in Swarm, and how two of them differ."""

from datetime import UTC, datetime

import pytest
from fakes.deployments import IMAGE, workload

from mealkit.deploy.spec_difference import spec_difference
from mealkit.deploy.swarm_service import (
    Attached,
    Revision,
    candidate_spec,
    job_spec,
    service_spec,
)

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
ATTACHED = Attached("net1", {"SecretID": "s1", "SecretName": "rake-keys-1"})


def spec(number: int = 1, **stated):
    wanted = workload(**stated)
    revision = Revision.of(wanted, number, "me", "why not", WHEN)
    return service_spec(wanted, revision, ATTACHED)


def test_the_service_starts_new_replicas_first_and_returns_by_itself():
    """The image is named by its digest, and the container has no rights."""
    made = spec(3, replicas=4)
    assert made["Mode"] == {"Replicated": {"Replicas": 4}}
    assert made["UpdateConfig"]["Order"] == "start-first"
    assert made["UpdateConfig"]["FailureAction"] == "rollback"
    assert made["Labels"]["dev.mealkit.revision"] == "3"
    assert made["Labels"]["dev.mealkit.who"] == "me"
    assert made["Labels"]["dev.mealkit.why"] == "why not"
    assert made["Labels"]["dev.mealkit.when"] == "2026-01-31T12:00:00+00:00"
    container = made["TaskTemplate"]["ContainerSpec"]
    assert container["Image"] == IMAGE
    assert container["ReadOnly"]
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["User"] == "65532:65532"
    assert container["StopGracePeriod"] == 35 * 10**9
    assert container["Secrets"][0]["File"]["Name"] == "mealkit-keys"
    assert "MEALKIT_KEYS_FILE=/run/secrets/mealkit-keys" in container["Env"]


@pytest.mark.parametrize("stated", [{"state": {"in": "pvc"}}, {"rollout": {"max_surge": 0}}])
def test_an_old_replica_ends_first_where_two_cannot_be(stated):
    """Two containers must not write to one volume, and there may be no room for both."""
    assert spec(**stated)["UpdateConfig"]["Order"] == "stop-first"


def test_a_candidate_does_not_write_to_the_volume_of_the_service():
    """Which the service's own replica writes to."""
    wanted = workload(state={"in": "pvc"})
    revision = Revision.of(wanted, 1, "me", "", WHEN)
    candidate = candidate_spec(wanted, revision, ATTACHED)

    def volume(made):
        mounts = made["TaskTemplate"]["ContainerSpec"]["Mounts"]
        return next(item.get("Source") for item in mounts if item["Type"] == "volume")

    assert volume(service_spec(wanted, revision, ATTACHED)) == "rake-state"
    assert volume(candidate) is None


def test_secrets_are_files_of_the_container_s_user():
    """The key of the audit log and the database's address beside the keys of callers."""
    stated = {
        "user": 1000,
        "audit_key": {"secret": "audit", "key": "a"},
        "secrets": {"MEALKIT_USAGE_DATABASE": {"secret": "budgets", "key": "url"}},
    }
    wanted = workload(**stated)
    files = {"mealkit-audit-key": {"SecretID": "s2", "SecretName": "audit"}}
    attached = Attached("net1", ATTACHED.keys, files)
    made = service_spec(wanted, Revision.of(wanted, 1, "me", "", WHEN), attached)
    container = made["TaskTemplate"]["ContainerSpec"]
    names = [item["File"]["Name"] for item in container["Secrets"]]
    assert names == ["mealkit-keys", "mealkit-audit-key"]
    assert {item["File"]["UID"] for item in container["Secrets"]} == {"1000"}
    assert "MEALKIT_AUDIT_KEY_FILE=/run/secrets/mealkit-audit-key" in container["Env"]


@pytest.mark.parametrize(
    ("publish", "mode", "order"),
    [
        ({}, "dnsrr", "start-first"),
        ({"address": "127.0.0.1", "port": 80}, "dnsrr", "start-first"),
        ({"address": "0.0.0.0", "port": 80}, "vip", "start-first"),
        ({"address": "0.0.0.0", "mode": "host"}, "dnsrr", "stop-first"),
    ],
)
def test_a_port_is_published_only_on_request(publish, mode, order):
    """Two replicas of a node cannot have its port, so with mode host the old one ends first."""
    made = spec(publish=publish)
    assert made["EndpointSpec"]["Mode"] == mode
    assert made["UpdateConfig"]["Order"] == order
    ports = made["EndpointSpec"].get("Ports", [])
    assert [item["PublishedPort"] for item in ports] == (
        [publish.get("port", 8000)] if publish.get("address") == "0.0.0.0" else []
    )


def test_gpus_are_generic_resources():
    """Swarm schedules by names and numbers; the driver's name is Docker's convention."""
    resources = spec(kit="tiny-chat-vllm", gpu=True)["TaskTemplate"]["Resources"]
    unit = {"Kind": "NVIDIA-GPU", "Value": 1}
    assert resources["Reservations"]["GenericResources"] == [{"DiscreteResourceSpec": unit}]
    limits, reserved = resources["Limits"], resources["Reservations"]
    assert limits["MemoryBytes"] == reserved["MemoryBytes"]


def test_candidate_and_test_reach_each_other_and_nothing_else():
    """Neither publishes a port or is started twice; the test gets a key of its own."""
    wanted = workload(
        rollout={"gate": "candidate"},
        publish={"address": "0.0.0.0"},
    )
    revision = Revision.of(wanted, 2, "me", "", WHEN)
    candidate = candidate_spec(wanted, revision, ATTACHED)
    job = job_spec(wanted, revision, ATTACHED, {"SecretID": "s2", "SecretName": "rake-test-key"})
    for made in (candidate, job):
        assert "Ports" not in made["EndpointSpec"]
        assert made["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}
        assert made["TaskTemplate"]["Networks"] == [{"Target": "net1"}]
    container = job["TaskTemplate"]["ContainerSpec"]
    assert container["Args"] == [
        *("test", "http://rake-candidate:8000", "--json", "--cases-only"),
        *("--api-key-file", "/run/secrets/mealkit-test-key"),
    ]
    assert [item["SecretName"] for item in container["Secrets"]] == ["rake-test-key"]


def test_a_difference_says_what_would_change_in_words():
    """Who wanted it is no difference; sizes and times have units."""
    old = spec(1, resources={"memory": "1GiB"}, environment={"A": "1", "B": "2"})
    new = spec(2, resources={"memory": "2GiB"}, environment={"A": "3"}, replicas=2)
    assert spec_difference(old, new, old) == [
        "replicas: 1 -> 2",
        "Env[A]: 1 -> 3",
        "Env[B]: 2 -> none",
        "limit MemoryBytes: 1.0 GiB -> 2.0 GiB",
        "reservation MemoryBytes: 1.0 GiB -> 2.0 GiB",
    ]
    assert spec_difference(old, {**old, "Labels": spec(9)["Labels"]}, old) == []


def test_what_an_engine_adds_or_does_not_know_is_no_difference():
    """Defaults that it adds, empty fields, and a field that its version drops."""
    given = spec(1)
    live = spec(1)
    live["TaskTemplate"]["ContainerSpec"] |= {"Init": False, "DNSConfig": {}, "Isolation": "x"}
    del live["TaskTemplate"]["ContainerSpec"]["Privileges"]
    assert spec_difference(live, spec(2), given) == []


def test_what_others_changed_by_hand_is_a_difference():
    """``docker service scale`` and ``update`` are undone by the next apply."""
    given, live = spec(1), spec(1)
    live["Mode"] = {"Replicated": {"Replicas": 7}}
    assert spec_difference(live, spec(2), given) == ["replicas: 7 -> 1"]
