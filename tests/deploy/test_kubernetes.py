"""What is rendered for Kubernetes is valid there, restricted, closed, and computed from the kit."""

import json
import re

import kubernetes_validate
import pytest
import yaml
from fakes.rendered_kits import EVERYTHING, FULL_IMAGE, IMAGE, LOCKED, lock_of, read_yaml, workload
from hypothesis import given, settings
from hypothesis import strategies as st

from mealkit.deploy.kubernetes import kubernetes_files, kubernetes_objects
from mealkit.deploy.kubernetes_network import network_remarks
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_document
from mealkit.errors import MealkitError
from mealkit.recipe.kit import Gpu

VERSIONS = ("1.34.0", "1.35.0", "1.36.0")
# Of other software: no schema of Kubernetes has them.
OTHERS = {"ServiceMonitor", "HTTPRoute"}


def objects(text="", kit="tiny-chat-onnx", **kind):
    found = kubernetes_objects(workload(text, kit))
    return [item for item in found if not kind or item["kind"] == kind["kind"]]


def pods(found):
    """The specification of every Pod that the objects lead to."""
    return [
        item["spec"]["template"]["spec"] for item in found if item["kind"] in {"Deployment", "Job"}
    ]


def deployment(text="", **changes):
    return next(
        item
        for item in kubernetes_objects(workload(text, **changes))
        if item["kind"] == "Deployment"
        and item["metadata"]["labels"]["mealkit.dev/track"] == "stable"
    )


def kit_in(item):
    (container,) = item["spec"]["template"]["spec"]["containers"]
    return container


def assert_valid(found, version):
    for item in found:
        if item["kind"] not in OTHERS:
            kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_valid_by_the_official_schemas(version):
    """Of three versions, strictly: no field that the version does not know."""
    assert_valid(objects(EVERYTHING), version)
    assert_valid(objects("weights: {in: image-volume}\nstate: {in: memory}"), version)
    assert_valid(
        objects(
            "state: {in: pvc}\nauth: off\nroute: {gateway: g, host: a.example}\n".replace(
                "off", '"off"'
            )
        ),
        version,
    )


@pytest.mark.parametrize("kit", LOCKED)
def test_every_example_kit_is_rendered(kit):
    """With an empty file; what is written is what another reader of YAML reads."""
    found = objects(kit=kit)
    assert_valid(found, VERSIONS[-1])
    files = kubernetes_files(workload(kit=kit))
    assert [*read_yaml(files["base.yaml"]), *read_yaml(files["deployment.yaml"])] == found
    assert kubernetes_files(workload(kit=kit)) == files


@pytest.mark.parametrize("text", ["", EVERYTHING, "user: platform"])
def test_pods_keep_the_restricted_standard(text):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, each rule."""
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}
    allowed |= {"persistentVolumeClaim", "projected", "secret"}
    for pod in pods(objects(text)):
        context = pod["securityContext"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & {*pod}
        assert context["runAsNonRoot"] is True
        assert context.get("runAsUser") != 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"} & {*context}
        assert all(len({*volume} - {"name"} - allowed) == 0 for volume in pod["volumes"])
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert not {"privileged", "procMount", "runAsUser", "runAsNonRoot"} & {*own}
            assert all("hostPort" not in port for port in container.get("ports", ()))
        assert pod["automountServiceAccountToken"] is False


def test_values_are_those_of_the_kit_and_of_the_file():
    """Image by digest, memory, ports, probes, grace, rollout, and where callers' keys are."""
    lock = lock_of("tiny-chat-onnx")
    item = deployment()
    kit, pod = kit_in(item), item["spec"]["template"]["spec"]
    assert kit["image"] == str(IMAGE)
    mebibytes = -(-lock.requirements.memory_bytes // 2**20)
    assert kit["resources"]["limits"] == {"memory": f"{mebibytes}Mi"}
    assert kit["resources"]["requests"] == {"cpu": "1", "memory": f"{mebibytes}Mi"}
    assert kit["ports"][0]["containerPort"] == 8000
    assert kit["readinessProbe"]["httpGet"]["path"] == "/v1/health/ready"
    assert kit["livenessProbe"]["httpGet"]["path"] == "/v1/health/live"
    assert pod["terminationGracePeriodSeconds"] == 35
    assert kit["terminationMessagePath"] == "/dev/termination-log"
    assert item["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    environment = {one["name"]: one.get("value") for one in kit["env"]}
    assert environment == {
        "MEALKIT_IMAGE_DIGEST": IMAGE.digest,
        "MEALKIT_KEYS_FILE": "/run/keys/keys.txt",
    }
    assert "shm" not in {volume["name"] for volume in pod["volumes"]}


def test_what_the_file_states_counts():
    """Over the kit's own values: sizes, processors, environment, secrets, shared memory, ops."""
    item = deployment(EVERYTHING)
    kit, pod = kit_in(item), item["spec"]["template"]["spec"]
    assert (item["metadata"]["name"], item["metadata"]["namespace"]) == ("shop-kit", "kits")
    assert kit["resources"]["requests"] == {"cpu": "500m", "memory": "2048Mi"}
    assert kit["resources"]["limits"] == {"memory": "2048Mi", "cpu": "2"}
    environment = {one["name"]: one for one in kit["env"]}
    assert environment["MEALKIT_OPS"]["value"] == (
        '{"cost":{"cpu_hour":"0.10","shared":true},"audit":{"max_files":10}}'
    )
    source = {"secretKeyRef": {"name": "budgets", "key": "url"}}
    assert environment["MEALKIT_USAGE_DATABASE"]["valueFrom"] == source
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1024Mi"}
    assert volumes["keys"]["secret"]["secretName"] == "shop-keys"
    assert volumes["audit-key"]["secret"]["secretName"] == "audit"
    assert environment["MEALKIT_AUDIT_KEY_FILE"]["value"] == "/run/audit-key/keys.txt"
    assert volumes["state"]["emptyDir"] == {"sizeLimit": f"{256 + 10 * 64}Mi"}
    assert item["metadata"]["labels"]["team"] == "search"
    assert pod["tolerations"] == [
        {"key": "dedicated", "operator": "Equal", "value": "kits", "effect": "NoSchedule"}
    ]


@pytest.mark.parametrize(
    ("weights", "stated", "seconds"),
    [
        # 14 GB at 100 MiB/s is 134 s, read twice, and a minute each for the engine and to warm up.
        (14_000_000_000, 3600, 134 + 134 + 60 + 60),
        # What the author states is the engine's time.
        (14_000_000_000, 600, 134 + 600 + 60),
        (0, 3600, 120),
    ],
)
def test_the_time_for_a_start_comes_from_sizes(weights, stated, seconds):
    """The startup probe's budget is at least that, and the rollout's deadline has room for it."""
    lock = lock_of("tiny-chat-onnx")
    file = lock.model.files[0].model_copy(update={"size_bytes": weights})
    lock = lock.model_copy(
        update={
            "model": lock.model.model_copy(update={"files": (file,)}),
            "serving": lock.serving.model_copy(update={"start_seconds": stated}),
        }
    )
    item = deployment(lock=lock)
    probe = kit_in(item)["startupProbe"]
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    assert seconds <= budget < seconds + probe["periodSeconds"]
    assert item["spec"]["progressDeadlineSeconds"] > budget


def gpu_workload(text):
    """The example kit for vLLM as if it needed a GPU."""
    lock = lock_of("tiny-chat-vllm")
    needs = lock.requirements.model_copy(update={"gpu": Gpu.REQUIRED})
    return workload(text, lock=lock.model_copy(update={"requirements": needs}))


def node_terms(found):
    (item,) = [one for one in kubernetes_objects(found) if one["kind"] == "Deployment"]
    pod = item["spec"]["template"]["spec"]
    affinity = pod["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return pod, [
        {one["key"]: (one["operator"], one["values"]) for one in term["matchExpressions"]}
        for term in terms
    ]


def test_a_node_must_have_the_gpus_that_the_kit_needs():
    """Count, product, memory and compute capability, by the labels of GPU feature discovery."""
    found = gpu_workload('gpu: {products: [NVIDIA-L4], memory: 20GiB, compute_capability: "8.6"}')
    pod, terms = node_terms(found)
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"
    common = {
        "kubernetes.io/os": ("In", ["linux"]),
        "kubernetes.io/arch": ("In", ["amd64"]),
        "nvidia.com/gpu.product": ("In", ["NVIDIA-L4"]),
        "nvidia.com/gpu.memory": ("Gt", ["20479"]),
    }
    newer = {"nvidia.com/gpu.compute.major": ("Gt", ["8"])}
    same = {
        "nvidia.com/gpu.compute.major": ("In", ["8"]),
        "nvidia.com/gpu.compute.minor": ("Gt", ["5"]),
    }
    assert terms == [common | newer, common | same]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod[
        "tolerations"
    ]
    assert_valid(kubernetes_objects(found), VERSIONS[-1])


def test_the_memory_of_a_gpu_is_what_is_estimated():
    """The least that the engine's own formula accepts; not asked if the file says so."""
    found = gpu_workload("")
    needed = found.gpus.memory_mib
    assert node_terms(found)[1][0]["nvidia.com/gpu.memory"] == ("Gt", [str(needed - 1)])
    assert 1024 < needed < 16 * 1024
    assert "nvidia.com/gpu.memory" not in node_terms(gpu_workload("gpu: {memory: any}"))[1][0]
    assert gpu_workload("gpu: {count: 0}").gpus is None


def reaches(policies, source, target, port):
    """Whether a Pod of the kit's namespace reaches another, by the rules of NetworkPolicies."""

    def matches(selector, labels):
        return (selector.get("matchLabels") or {}).items() <= labels.items()

    def allowed(direction, own, other, key):
        chosen = [one["spec"] for one in policies if matches(one["spec"]["podSelector"], own)]
        rules = [rule for spec in chosen for rule in spec[direction]]
        return not chosen or any(
            any(
                "podSelector" in peer
                and "namespaceSelector" not in peer
                and matches(peer["podSelector"], other)
                for peer in rule[key]
            )
            and any(one["port"] == port for one in rule["ports"])
            for rule in rules
        )

    return allowed("egress", source, target, "to") and allowed("ingress", target, source, "from")


def test_the_network_is_closed_but_for_what_is_named():
    """By default no Pod reaches the kit, and it reaches none; the gate's Job reaches a candidate."""
    (policy,) = objects(kind="NetworkPolicy")
    assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == ([], [])
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    found = objects(EVERYTHING)
    policies = [item for item in found if item["kind"] == "NetworkPolicy"]
    labels = {
        (
            item["kind"],
            item["metadata"]["name"].split("-")[2]
            if item["metadata"]["name"].count("-") > 1
            else "",
        ): item["spec"]["template"]["metadata"]["labels"]
        for item in found
        if item["kind"] in {"Deployment", "Job"}
    }
    kit, candidate = labels["Deployment", ""], labels["Deployment", "candidate"]
    gate, fill = labels["Job", "gate"], labels["Job", "weights"]
    assert reaches(policies, gate, candidate, 8000)
    assert not reaches(policies, gate, kit, 8000)
    assert not reaches(policies, fill, candidate, 8000)
    assert not reaches(policies, kit, gate, 8000)
    assert reaches(policies, {"app": "shop"}, kit, 8000)
    assert not reaches(policies, {"app": "shop"}, kit, 9000)
    assert not reaches(policies, {"app": "other"}, kit, 8000)


def test_a_candidate_gets_no_callers():
    """No Service of callers, budget of disruptions or monitor selects it; its own Service does."""
    found = objects(EVERYTHING)
    (candidate,) = [
        item
        for item in found
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "shop-kit-candidate"
    ]
    labels = candidate["spec"]["template"]["metadata"]["labels"]
    selecting = [
        (item["kind"], item["metadata"]["name"])
        for item in found
        for selector in [item["spec"].get("selector") or {}]
        if item["kind"] != "PersistentVolumeClaim"
        and selector.get("matchLabels", selector).items() <= labels.items()
        and selector
    ]
    assert selecting == [("Deployment", "shop-kit-candidate"), ("Service", "shop-kit-candidate")]
    (job,) = [item for item in found if "-gate-" in item["metadata"]["name"]]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    asked = ["test", "http://shop-kit-candidate:8000", "--wait=60", "--cases-only"]
    assert container["args"][:4] == asked
    tracked = {"Deployment", "Service", "Job"}
    gate = [
        item for item in found if item["metadata"]["labels"].get("mealkit.dev/track") == "candidate"
    ]
    assert {item["kind"] for item in gate} == tracked
    files = kubernetes_files(workload(EVERYTHING))
    assert {*files} == {
        "base.yaml",
        "deployment.yaml",
        "gate/candidate.yaml",
        "gate/test.yaml",
        "secrets.yaml.example",
    }


def test_a_job_of_another_image_has_another_name():
    """Because a Job cannot be changed."""
    first = [one["metadata"]["name"] for one in objects(EVERYTHING, kind="Job")]
    file = workload(EVERYTHING).file
    other = Workload.of(lock_of("tiny-chat-onnx"), FULL_IMAGE, file, IMAGE)
    second = [one["metadata"]["name"] for one in kubernetes_objects(other) if one["kind"] == "Job"]
    assert not {*first} & {*second}
    assert first == [one["metadata"]["name"] for one in objects(EVERYTHING, kind="Job")]


def test_weights_are_in_the_image_in_a_mounted_one_or_in_a_volume():
    """The volume is named by the weights, is filled by a Job, and waited for by the Pod."""
    assert "weights" not in {one["name"] for one in pods(objects())[0]["volumes"]}
    (pod,) = pods(objects("weights: {in: image-volume}"))
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["weights"]["image"]["reference"] == str(FULL_IMAGE)
    mounts = {one["name"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert mounts["weights"] == {
        "name": "weights",
        "mountPath": "/models",
        "subPath": "models",
        "readOnly": True,
    }
    found = objects("weights: {in: pvc, size: 10GiB}")
    (claim,) = [one for one in found if one["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10240Mi"
    job, pod = pods(found)
    assert job["containers"][0]["image"] == str(FULL_IMAGE)
    assert job["containers"][0]["args"] == ["weights", "copy", "/volume"]
    assert pod["initContainers"][0]["args"] == ["weights", "wait", "/models"]
    names = {
        volume["persistentVolumeClaim"]["claimName"]
        for one in (job, pod)
        for volume in one["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert names == {claim["metadata"]["name"]}


def test_two_pods_never_write_to_one_volume():
    """With the state in a volume the old Pod ends first."""
    item = deployment("state: {in: pvc}")
    assert item["spec"]["strategy"] == {"type": "Recreate"}


def test_without_keys_the_names_of_the_service_are_known():
    """In any namespace, which the objects may get when they are applied; and those from outside."""
    text = 'auth: "off"\nhosts: [other.example]\ningress: {host: kit.example}'
    environment = variables(deployment(text), "kits")
    names = environment["MEALKIT_HOSTS"].split(",")
    assert environment["MEALKIT_AUTH"] == "off"
    assert {"tiny-chat-onnx.kits.svc", "kit.example", "other.example"} <= {*names}
    assert "tiny-chat-onnx-candidate" in names
    assert "secrets.yaml.example" not in kubernetes_files(workload(text))


def variables(item, namespace):
    """The variables that a container gets, as the kubelet makes them: in order, with $(NAME)."""
    found = {}
    for one in kit_in(item)["env"]:
        is_namespace = "fieldPath" in one.get("valueFrom", {}).get("fieldRef", {})
        text = namespace if is_namespace else one.get("value", "")
        found[one["name"]] = re.sub(
            r"\$(\$|\(([^)]*)\))",
            lambda mark: "$" if mark[1] == "$" else found.get(mark[2], mark[0]),
            text,
        )
    return found


def test_a_variable_has_the_text_of_the_file():
    """Kubernetes would replace names in brackets after a dollar, and two dollars by one."""
    text = "environment: {A: b, Z: '$(A) $$(A) $$ $x $'}"
    assert variables(deployment(text), "kits")["Z"] == "$(A) $$(A) $$ $x $"


def test_an_autoscaler_keeps_its_number():
    """The number of replicas is stated only if the file states it."""
    assert "replicas" not in deployment()["spec"]
    assert deployment("replicas: 1")["spec"]["replicas"] == 1


def test_an_old_pod_ends_first_where_there_is_no_room():
    """Such as on the only GPU."""
    strategy = deployment("rollout: {max_surge: 0}")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_proxy_lets_the_kit_decide_how_long_and_how_much():
    """nginx closes after 60 s and refuses more than 1 MiB by itself; the file's words count more."""
    stated = '{host: a.example, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: "9m"}}'
    (ingress,) = objects(f"ingress: {stated}", kind="Ingress")
    prefix = "nginx.ingress.kubernetes.io/proxy"
    annotations = ingress["metadata"]["annotations"]
    assert annotations[f"{prefix}-read-timeout"] == "70"
    assert annotations[f"{prefix}-body-size"] == "9m"
    (route,) = objects("route: {gateway: g, host: a.example}", kind="HTTPRoute")
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s"}


def test_a_person_is_told_what_stays_closed():
    """Callers, Prometheus, the way to the database."""
    said = list(
        network_remarks(
            workload(
                'monitoring: {service_monitor: true}\nops: {cost: {cpu_hour: "1", shared: true}}'
            )
        )
    )
    for line, word in zip(said, ("allow_from", "prometheus", "egress"), strict=True):
        assert word in line
    assert list(network_remarks(workload(EVERYTHING))) == []


@pytest.mark.parametrize("section", ["cost: null", "audit: null"])
def test_a_section_may_be_left_out(section):
    """What the kit states for it then does not count."""
    environment = variables(deployment(f"ops: {{{section}}}"), "kits")
    assert json.loads(environment["MEALKIT_OPS"]) == {section.partition(":")[0]: None}


@pytest.mark.parametrize(
    ("text", "kit", "part"),
    [
        ("rollout: {gate: candidate, claims: [no]}", "tiny-chat-onnx", "has no claim no"),
        ("rollout: {gate: candidate}", "bare", "no cases to test"),
    ],
)
def test_a_gate_needs_something_to_test(text, kit, part):
    """A claim that does not exist, or a kit without cases, is a problem before anything runs."""
    lock = lock_of("tiny-chat-onnx")
    if kit == "bare":
        lock = lock.model_copy(update={"cases": (), "case_files": ()})
    with pytest.raises(MealkitError, match=part) as caught:
        workload(text, lock=lock)
    assert caught.value.problems[0].code == "DEPLOY_UNFIT"


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@settings(max_examples=30, deadline=None)
@given(
    name=st.from_regex(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", fullmatch=True).filter(
        lambda t: len(t) <= 128
    ),
    version=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True),
    note=st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=40),
)
def test_any_kit_has_valid_names_and_labels(name, version, note):
    """However its name is written; and any text of people comes back from YAML as it was."""
    lock = lock_of("rake")
    owner = lock.about.owner.model_copy(update={"team": note})
    about = lock.about.model_copy(update={"name": name, "version": version, "owner": owner})
    found = workload("weights: {in: pvc}", lock=lock.model_copy(update={"about": about}))
    for item in kubernetes_objects(found):
        assert _LABEL.fullmatch(item["metadata"]["name"]), item["metadata"]["name"]
        assert all(_VALUE.fullmatch(value) for value in item["metadata"]["labels"].values())
    read = yaml.safe_load(yaml_document(kubernetes_objects(found)[0]))
    assert read["metadata"]["annotations"]["mealkit.dev/owner"].startswith(f"{note}, ")
