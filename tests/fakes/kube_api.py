"""A scripted Kubernetes API server on loopback: Anys in memory, server-side apply, watches.

It has a tiny controller for Deployments and Jobs. What becomes of a pod is decided by its `Fate`,
which a test chooses by the image; a pod reaches it when somebody watches, so no test has to wait.
"""

import contextlib
import copy
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from fakes.odd_server import Quiet

Form = dict[str, Any]

NAMESPACE = "kits"
_LISTS_BY = {"containers": "name", "initContainers": "name", "volumes": "name", "env": "name"} | {
    "ports": ("containerPort", "port"),
    "volumeMounts": "mountPath",
}
TOKEN = "s3cr3t-token"
_TIME = "2026-11-30T12:00:00Z"
_OBJECT = re.compile(
    r"(?P<collection>/(api/v1|apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+))"
    r"(/(?P<name>[^/]+)(/(?P<part>[a-z]+))?)?"
)
_KINDS = {
    "pods": "Pod",
    "events": "Event",
    "replicasets": "ReplicaSet",
    "deployments": "Deployment",
    "nodes": "Node",
    "jobs": "Job",
}


@dataclass
class Fate:
    """What becomes of a pod: its status' container state, conditions, events and log."""

    ready: bool = True
    state: Form = field(default_factory=lambda: {"running": {"startedAt": _TIME}})
    last: Form = field(default_factory=dict)
    restarts: int = 0
    conditions: tuple[Any, ...] = ()
    events: tuple[Any, ...] = ()
    log: str = ""
    phase: str = "Running"
    reason: str = ""
    message: str = ""
    create_error: str = ""
    """Why no pod can be created at all."""


def crashed(message: str, code: int = 10, reason: str = "Error") -> Fate:
    ended = {
        "exitCode": code,
        "reason": reason,
        "message": message,
        "startedAt": _TIME,
        "finishedAt": _TIME,
    }
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    return Fate(ready=False, state={"waiting": waiting}, last={"terminated": ended}, restarts=1)


def waiting(reason: str, message: str, events: tuple[Any, ...] = ()) -> Fate:
    state = {"waiting": {"reason": reason, "message": message}}
    return Fate(ready=False, state=state, phase="Pending", events=events)


def unschedulable(message: str) -> Fate:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return Fate(ready=False, state={}, phase="Pending", conditions=(condition,))


@dataclass
class Refusal:
    """An answer of the server's own instead of the object, for requests that match."""

    method: str
    path: str
    status: int
    message: str
    times: int = 1
    body: Any | None = None
    headers: Form = field(default_factory=dict)
    dry: bool | None = None


class KubeApi(Quiet):
    """The server, and what a test may change about it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, Form] = {}
        self.owned: dict[str, dict[str, dict[Any, Any]]] = {}
        self.fates: dict[str, Fate] = {}
        self.refusals: list[Refusal] = []
        self.requests: list[tuple[str, str]] = []
        self.missing = {"servicemonitors"}
        self.pending: list[Any] = []
        self.changes: list[tuple[int, str, str, Form]] = []
        self.oldest = 0
        self.version = 100
        self.authorizations: set[str] = set()
        self.changed = threading.Condition(threading.RLock())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def kubeconfig(self, path: Path, namespace: str = NAMESPACE, token: str = TOKEN) -> Path:
        entry = {"cluster": "here", "user": "me", "namespace": namespace}
        form = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [
                {"name": "here", "context": entry},
                {"name": "other", "context": {**entry, "namespace": "other"}},
            ],
        }
        path.write_text(yaml.safe_dump(form))
        return path

    def named(self, plural: str) -> dict[str, Form]:
        """The objects of a kind, by their names."""
        found = {path: item for path, item in self.objects.items() if path.split("/")[-2] == plural}
        return {item["metadata"]["name"]: item for item in found.values()}

    def put(self, collection: str, item: Form) -> Form:
        """Store an object as a controller does."""
        with self.changed:
            path = f"{collection}/{item['metadata']['name']}"
            kind = "MODIFIED" if path in self.objects else "ADDED"
            self.version += 1
            metadata = item["metadata"]
            metadata.setdefault(
                "uid", hashlib.sha256(f"{path}{self.version}".encode()).hexdigest()[:32]
            )
            metadata.setdefault("creationTimestamp", _TIME)
            metadata["resourceVersion"] = str(self.version)
            self.objects[path] = item
            self.changes.append((self.version, kind, collection, copy.deepcopy(item)))
            self.changed.notify_all()
            return item

    def drop(self, path: str) -> None:
        with self.changed:
            item = self.objects.pop(path)
            self.owned.pop(path, None)
            self.version += 1
            self.changes.append((self.version, "DELETED", path.rpartition("/")[0], item))
            for other in [key for key, value in self.objects.items() if _is_owned(value, item)]:
                self.drop(other)
            self.changed.notify_all()

    # Server-side apply

    def apply(
        self, place: re.Match[str], body: Any, manager: str, *, force: bool, dry: bool
    ) -> tuple[int, Form]:
        with self.changed:
            path = place[0]
            live = copy.deepcopy(self.objects.get(path))
            stated = body["metadata"].get("resourceVersion")
            if live and stated and stated != live["metadata"]["resourceVersion"]:
                return 409, status(
                    409,
                    "Conflict",
                    f'Operation cannot be fulfilled on {place["plural"]} "{place["name"]}": the object has been modified',
                )
            owned = copy.deepcopy(self.owned.get(path, {}))
            new = dict(_leaves(body))
            causes = []
            merged = live or {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                "metadata": {"name": place["name"], "namespace": place["namespace"]},
            }
            for other, fields in owned.items():
                if other == manager:
                    continue
                for leaf in [
                    key for key in new if key in fields and _look(merged, key) != new[key]
                ]:
                    causes.append(
                        {
                            "reason": "FieldManagerConflict",
                            "message": f'conflict with "{other}" using {body["apiVersion"]}',
                            "field": _shown(leaf),
                        }
                    )
                    if force:
                        del fields[leaf]
            if causes and not force:
                return 409, status(
                    409,
                    "Conflict",
                    f"Apply failed with {len(causes)} conflicts",
                    {"causes": causes},
                )
            others = {
                leaf for other, fields in owned.items() if other != manager for leaf in fields
            }
            for leaf in set(owned.get(manager, {})) - set(new) - others:
                _remove(merged, leaf)
            for leaf, value in new.items():
                _set(merged, leaf, copy.deepcopy(value))
            owned[manager] = new
            before = copy.deepcopy(live["spec"]) if live and "spec" in live else None
            _default(merged)
            metadata = merged["metadata"]
            metadata["managedFields"] = [
                _managed(name, body["apiVersion"], fields) for name, fields in owned.items()
            ]
            if before != merged.get("spec") and merged["kind"] in {"Deployment", "Job"}:
                metadata["generation"] = metadata.get("generation", 0) + 1
            if dry:
                metadata.setdefault("uid", "dry-run")
                return 200, merged
            self.owned[path] = owned
            self.put(place["collection"], merged)
            if merged["kind"] == "Deployment":
                self._reconcile(path)
            if merged["kind"] == "Job":
                self._start_job(path)
            return 201 if live is None else 200, self.objects[path]

    # The controllers

    def _reconcile(self, path: str) -> None:
        deployment = self.objects[path]
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        template = copy.deepcopy(deployment["spec"]["template"])
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        set_path = f"{sets}/{name}-{digest}"
        mine = [
            item
            for item in self.objects.values()
            if item["kind"] == "ReplicaSet" and _is_owned(item, deployment)
        ]
        revision = 1 + max(
            (
                int(item["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
                for item in mine
            ),
            default=0,
        )
        current = self.objects.get(set_path)
        if (
            current
            and current["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            == str(revision - 1)
            and current["spec"]["replicas"]
        ):
            revision -= 1
        template["metadata"]["labels"]["pod-template-hash"] = digest
        annotations = {
            **deployment["metadata"].get("annotations", {}),
            "deployment.kubernetes.io/revision": str(revision),
        }
        replicas = deployment["spec"]["replicas"]
        made: Form = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-{digest}",
                "namespace": namespace,
                "labels": template["metadata"]["labels"],
                "annotations": annotations,
                "ownerReferences": [_owner(deployment)],
            },
            "spec": {
                "replicas": replicas,
                "selector": {
                    "matchLabels": {
                        **deployment["spec"]["selector"]["matchLabels"],
                        "pod-template-hash": digest,
                    }
                },
                "template": template,
            },
            "status": {"replicas": 0, "observedGeneration": 1},
        }
        made["metadata"]["uid"] = current["metadata"]["uid"] if current else f"rs-{digest}-{name}"
        self.put(sets, made)
        deployment["metadata"].setdefault("annotations", {})[
            "deployment.kubernetes.io/revision"
        ] = str(revision)
        fate = self._fate(template)
        if fate.create_error:
            condition = {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": fate.create_error,
            }
            made["status"]["conditions"] = [condition]
            self._count(path)
            return
        for number in range(replicas):
            self._add_pod(made, number, template)
        self._count(path)
        for number in range(replicas):
            pod = f"/api/v1/namespaces/{namespace}/pods/{made['metadata']['name']}-{number}"
            self.pending.append(lambda pod=pod: self._meet(pod, path))

    def _add_pod(self, owner: Form, number: int, template: Form) -> str:
        namespace, name = owner["metadata"]["namespace"], f"{owner['metadata']['name']}-{number}"
        collection = f"/api/v1/namespaces/{namespace}/pods"
        metadata = {
            **copy.deepcopy(template["metadata"]),
            "name": name,
            "namespace": namespace,
            "ownerReferences": [_owner(owner)],
        }
        spec = copy.deepcopy(template["spec"])
        self.put(
            collection,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": spec,
                "status": {"phase": "Pending"},
            },
        )
        return f"{collection}/{name}"

    def _meet(self, path: str, deployment: str | None) -> None:
        """Let a pod become what its fate says."""
        pod = self.objects.get(path)
        if pod is None:
            return
        fate = self._fate(pod)
        placed = not fate.conditions
        if placed:
            pod["spec"]["nodeName"] = "node-1"
        ready = {"type": "Ready", "status": str(fate.ready)}
        containers = [
            {
                "name": item["name"],
                "image": item["image"],
                "imageID": item["image"],
                "ready": fate.ready,
                "restartCount": fate.restarts,
                "state": fate.state,
                "lastState": fate.last,
            }
            for item in pod["spec"]["containers"]
        ]
        pod["status"] = {
            "phase": fate.phase,
            "conditions": [*fate.conditions, ready],
            "containerStatuses": containers if placed else None,
        }
        pod["status"] |= {"reason": fate.reason, "message": fate.message}
        for number, (reason, message) in enumerate(fate.events):
            self.event(pod, reason, message, number)
        if deployment and fate.ready and deployment in self.objects:
            self._count(deployment, extra=pod)
            self._remove_old(deployment)
            self._count(deployment, extra=pod)
        self.put(path.rpartition("/")[0], pod)
        if deployment and deployment in self.objects:
            self._count(deployment)

    def event(self, about: Form, reason: str, message: str, number: int = 0) -> None:
        metadata = about["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{reason.lower()}.{number}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "kind": about["kind"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": f"2026-11-30T12:00:{number:02d}Z",
        }
        self.put(f"/api/v1/namespaces/{metadata['namespace']}/events", event)

    def _remove_old(self, path: str) -> None:
        """End one pod of an older revision for each new one that is ready: maxUnavailable 0."""
        deployment = self.objects[path]
        old = [
            key
            for key, item in self._pods(deployment).items()
            if not self._is_new(item, deployment)
        ]
        ready = [
            item
            for item in self._pods(deployment).values()
            if self._is_new(item, deployment) and _ready(item)
        ]
        keep = max(0, deployment["spec"]["replicas"] - len(ready))
        for key in old[keep:]:
            self.drop(key)

    def _pods(self, deployment: Form) -> dict[str, Form]:
        wanted = deployment["spec"]["selector"]["matchLabels"].items()
        found = {key: item for key, item in self.objects.items() if item["kind"] == "Pod"}
        return {
            key: item for key, item in found.items() if wanted <= item["metadata"]["labels"].items()
        }

    def _is_new(self, pod: Form, deployment: Form) -> bool:
        newest = next(
            item
            for item in self.named("replicasets").values()
            if _is_owned(item, deployment)
            and item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            == deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        )
        return _is_owned(pod, newest)

    def _count(self, path: str, extra: Form | None = None) -> None:
        """Write the status of a deployment and of its replica sets, and end failed pods of old ones."""
        deployment = self.objects[path]
        pods = self._pods(deployment)
        new = [item for item in pods.values() if self._is_new(item, deployment)]
        failing = [key for key, item in pods.items() if item not in new and not _ready(item)]
        for key in failing:
            self.drop(key)
        pods = self._pods(deployment)
        ready = [item for item in pods.values() if _ready(item)]
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
        }
        for item in list(self.named("replicasets").values()):
            if _is_owned(item, deployment):
                mine = [pod for pod in pods.values() if _is_owned(pod, item)]
                item["status"] |= {"replicas": len(mine)}
                item["spec"]["replicas"] = len(mine) or (
                    deployment["spec"]["replicas"] if item["status"].get("conditions") else 0
                )
        self.put(path.rpartition("/")[0], deployment)

    def _start_job(self, path: str) -> None:
        job = self.objects[path]
        template = copy.deepcopy(job["spec"]["template"])
        template["metadata"].setdefault("labels", {})["batch.kubernetes.io/job-name"] = job[
            "metadata"
        ]["name"]
        pod = self._add_pod(job, 0, template)

        def end() -> None:
            self._meet(pod, None)
            ended = self._fate(template).state.get("terminated") or {"exitCode": 0}
            kind = "Failed" if ended["exitCode"] else "Complete"
            job["status"] = {"conditions": [{"type": kind, "status": "True"}]}
            self.put(path.rpartition("/")[0], job)

        self.pending.append(end)

    def _fate(self, pod: Form) -> Fate:
        image = pod["spec"]["containers"][0]["image"]
        name = pod["spec"]["containers"][0]["name"]
        return self.fates.get(name) or self.fates.get(image.rpartition("@")[2], Fate())


class _Handler(BaseHTTPRequestHandler):
    server: KubeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle("GET")

    def do_PATCH(self) -> None:
        self._handle("PATCH")

    def do_DELETE(self) -> None:
        self._handle("DELETE")

    def _handle(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        place = _OBJECT.fullmatch(parts.path)
        server = self.server
        server.requests.append((method, self.path))
        server.authorizations.add(self.headers.get("Authorization", ""))
        for refusal in server.refusals:
            if (
                refusal.method == method
                and refusal.path in self.path
                and refusal.times > 0
                and refusal.dry in {None, "dryRun" in query}
            ):
                refusal.times -= 1
                if not refusal.status:  # the connection breaks
                    self.close_connection = True
                    return
                self._answer(
                    refusal.status,
                    refusal.body or status(refusal.status, "Refused", refusal.message),
                    refusal.headers,
                )
                return
        if place is None or place["plural"] in server.missing:
            self._answer(
                404, status(404, "NotFound", "the server could not find the requested resource")
            )
        elif place["namespace"] not in {None, NAMESPACE, "other"} and method == "PATCH":
            self._answer(
                404, status(404, "NotFound", f'namespaces "{place["namespace"]}" not found')
            )
        elif place["part"] == "log":
            pod = server.objects.get(place[0].removesuffix("/log"))
            self._raw(200, (server._fate(pod).log if pod else "").encode(), "text/plain")
        elif method == "PATCH" and self.headers["Content-Type"] == "application/merge-patch+json":
            self._annotate(place, body)
        elif method == "PATCH":
            force, dry = query.get("force") == "true", "dryRun" in query
            self._answer(*server.apply(place, body, query["fieldManager"], force=force, dry=dry))
        elif method == "GET" and place["name"] is None:
            if query.get("watch") == "true":
                self._watch(place["collection"], query)
            else:
                self._list(place, query)
        else:
            self._one(method, place)

    def _one(self, method: str, place: re.Match[str]) -> None:
        with self.server.changed:
            item = self.server.objects.get(place[0])
            if item is None:
                self._answer(
                    404, status(404, "NotFound", f'{place["plural"]} "{place["name"]}" not found')
                )
                return
            if method == "DELETE":
                self.server.drop(place[0])
            self._answer(200, item)

    def _annotate(self, place: re.Match[str], body: Any) -> None:
        with self.server.changed:
            item = self.server.objects[place[0]]
            told = item["metadata"].setdefault("annotations", {}) | body["metadata"]["annotations"]
            item["metadata"]["annotations"] = {
                key: value for key, value in told.items() if value is not None
            }
            self._answer(200, self.server.put(place["collection"], item))

    def _list(self, place: re.Match[str], query: Form) -> None:
        with self.server.changed:
            pattern = re.compile(
                f"{re.escape(place['collection'])}/[^/]+"
                if place["namespace"]
                else rf"/api/v1(/namespaces/[^/]+)?/{place['plural']}/[^/]+"
            )
            found = [
                item
                for key, item in sorted(self.server.objects.items())
                if pattern.fullmatch(key) and _selected(item, query)
            ]
            begin, limit = int(query.get("continue") or 0), int(query.get("limit") or 500)
            page = found[begin : begin + limit]
            metadata = {"resourceVersion": str(self.server.version)}
            if begin + limit < len(found):
                metadata["continue"] = str(begin + limit)
            kind = _KINDS.get(place["plural"], "Thing")
            self._answer(
                200,
                {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": page},
            )

    def _watch(self, collection: str, query: Form) -> None:
        since = int(query.get("resourceVersion") or 0)
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with server.changed:
            if since < server.oldest:
                self._line("ERROR", status(410, "Expired", "too old resource version"))
                return
            self._line(
                "BOOKMARK",
                {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(since)}},
            )
            while server.pending:
                server.pending.pop(0)()
            for version, kind, at, item in server.changes:
                if version > since and at == collection and _selected(item, query):
                    self._line(kind, item)

    def _line(self, kind: str, item: Form) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def _answer(self, code: int, form: Form, headers: Form | None = None) -> None:
        self._raw(code, json.dumps(form).encode(), "application/json", headers)

    def _raw(self, code: int, data: bytes, kind: str, headers: Form | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def kube_api() -> Iterator[KubeApi]:
    with KubeApi() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(code: int, reason: str, message: str, details: Form | None = None) -> Form:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details or {},
    }


def _is_owned(item: Form, owner: Form) -> bool:
    uid = owner["metadata"].get("uid")
    return any(one["uid"] == uid for one in item["metadata"].get("ownerReferences", ()))


def _owner(item: Form) -> Form:
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
    }


def _ready(pod: Form) -> bool:
    return any(
        item["type"] == "Ready" and item["status"] == "True"
        for item in pod["status"].get("conditions", ())
    )


def _selected(item: Form, query: Form) -> bool:
    labels = item["metadata"].get("labels") or {}
    wanted = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
    if not wanted.items() <= labels.items():
        return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = part.partition("=")
        name, unlike = name.removesuffix("!"), name.endswith("!")
        found: Any = item
        for step in name.split("."):
            found = (found or {}).get(step)
        if (found != value) is not unlike:
            return False
    return True


def _key(name: str, item: Any) -> str | None:
    """The key of an item in a list that is merged, as `k:{"name":"kit"}`; None: the list is whole."""
    keys = _LISTS_BY.get(name)
    for key in (keys,) if isinstance(keys, str) else keys or ():
        if isinstance(item, dict) and key in item:
            return "k:" + json.dumps({key: item[key]}, separators=(",", ":"))
    return None


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    own = {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata", "f:name"),
        ("f:metadata", "f:namespace"),
        ("f:metadata", "f:resourceVersion"),
        ("f:status",),
    }
    if path in own:
        return
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, f"f:{key}"))
    elif isinstance(value, list) and value and all(_key(path[-1][2:], item) for item in value):
        for item in value:
            yield from _leaves(item, (*path, _key(path[-1][2:], item)))
    else:
        yield path, value


def _step(value: Any, step: str) -> Any:
    if step.startswith("f:"):
        return value.get(step[2:]) if isinstance(value, dict) else None
    wanted = json.loads(step[2:])
    return next((item for item in value or () if wanted.items() <= item.items()), None)


def _look(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = _step(value, step)
    return value


def _set(value: Any, path: tuple[Any, ...], leaf: Any) -> None:
    for place, step in enumerate(path[:-1]):
        inner = _step(value, step)
        if inner is None:
            inner = [] if path[place + 1].startswith("k:") else {}
            if step.startswith("k:"):
                inner = json.loads(step[2:])
                value.append(inner)
            else:
                value[step[2:]] = inner
        value = inner
    value[path[-1][2:]] = leaf


def _remove(value: Any, path: tuple[Any, ...]) -> None:
    for step in path[:-1]:
        value = _step(value, step)
        if value is None:
            return
    value.pop(path[-1][2:], None)


def _shown(path: tuple[Any, ...]) -> str:
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)


def _managed(manager: str, version: str, fields: Form) -> Form:
    tree: Form = {}
    for path in fields:
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": version,
        "time": _TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }


def _default(item: Form) -> None:
    """Fill in some of the values that the real server fills in."""
    if item["kind"] not in {"Deployment", "Job"}:
        return
    spec = item["spec"]
    if item["kind"] == "Deployment":
        spec.setdefault("replicas", 1)
        spec.setdefault("progressDeadlineSeconds", 600)
        spec.setdefault("revisionHistoryLimit", 10)
    pod = spec["template"]["spec"]
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("dnsPolicy", "ClusterFirst")
    for container in pod["containers"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
