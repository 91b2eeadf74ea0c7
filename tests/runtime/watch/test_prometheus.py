"""A real Prometheus scrapes a kit with a real engine under load, configured as the documentation says."""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import yaml
from fakes.served import free_port, need

from mealkit.contract.observation import LENGTH_EDGES
from mealkit.deploy.grafana_dashboard import grafana_dashboard
from mealkit.deploy.prometheus_rules import ALERTS, RECORDINGS, prometheus_rules
from mealkit.engines.registry import recipe_of
from mealkit.recipe.cases import Case
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile, FieldProfile, Histogram
from mealkit.recipe.kit import Task
from mealkit.runtime.gateway.keys import new_key

pytestmark = pytest.mark.xdist_group("prometheus")

ROOT = Path(__file__).parents[3]
HOW_TO = ROOT / "docs" / "how-to" / "monitor-with-prometheus.md"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
TINY_LLAMA = ROOT / "kits" / "tiny-llama"
GRAPH = ROOT / "kits" / "tiny-chat-onnx" / "graph"
TARGET, KEY_FILE = "10.0.0.5:8000", "/etc/prometheus/mealkit-key"
# What Prometheus 2.42 sends.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
# Sixteen answers, none of which may end early.
NEARLY_SPENT_TOKENS = 1000
LONG = {"n": 16, "max_tokens": 400, "logit_bias": {"2": -100}}


def blocks():
    """Return the YAML of the how-to: the scrape, the scrape with a key."""
    return re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)


@dataclass
class Prometheus:
    """A running Prometheus."""

    client: httpx2.Client
    config: Path

    def values(self, query):
        """Return a query's values."""
        answer = self.client.get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        assert answer.status_code == 200, answer.text
        return [float(series["value"][1]) for series in answer.json()["data"]["result"]]

    def targets(self):
        """Return the state of each job's target."""
        found = self.client.get("/api/v1/targets?state=active").json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target for target in found}


@pytest.fixture(scope="module")
def ports():
    return {job: free_port() for job in ("kit", "keyed", "prometheus")}


@pytest.fixture(scope="module")
def secret():
    return new_key("prometheus")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, ports, secret) -> Iterator[Prometheus]:
    """The program with the how-to's configuration, whose addresses and files are those of the test."""
    program = need("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    plain, keyed = blocks()
    key_file = folder / "key"
    key_file.write_text(f"{secret[0]}\n")
    (job,) = yaml.safe_load(plain.replace(TARGET, f"127.0.0.1:{ports['kit']}"))["scrape_configs"]
    keyed = keyed.replace(TARGET, f"127.0.0.1:{ports['keyed']}").replace(KEY_FILE, str(key_file))
    (with_key,) = yaml.safe_load(keyed)["scrape_configs"]
    without_key = {name: with_key[name] for name in with_key if name != "authorization"}
    # The kit is asked for as if it were a proxy, so that the name needs no DNS.
    by_name = {
        "proxy_url": f"http://127.0.0.1:{ports['kit']}",
        "static_configs": [{"targets": ["kit.example:8000"]}],
    }
    config = folder / "prometheus.yml"
    settings = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            job,
            {**with_key, "job_name": "key"},
            {**without_key, "job_name": "no key"},
            {**by_name, "job_name": "name"},
        ],
    }
    config.write_text(json.dumps(settings))
    # At once, and for the target without a key, which is down.
    soon = re.sub(r'"for": "\d+m"', '"for": "0s"', json.dumps(prometheus_rules("runbooks.md")))
    (folder / "rules.yml").write_text(soon.replace('job=~\\".*mealkit.*\\"', ""))
    address = f"127.0.0.1:{ports['prometheus']}"
    arguments = [
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={config}", *arguments], stdout=log, stderr=log
        )
    with httpx2.Client(base_url=f"http://{address}", timeout=60) as client:
        yield Prometheus(client, config)
    process.kill()
    process.wait()


def cost_of(tokens):
    """State prices, and a budget that only warns."""
    budget = {"name": "monthly", "tokens": tokens, "soft": True}
    return {"per_million_tokens": {"input": "1.00", "output": "2.00"}, "budgets": [budget]}


@pytest.fixture(scope="module")
def kit(prometheus, ports, make_shared_lock, start_shared):
    """A kit of the engine onnx, with a real model and no keys."""
    recipe = recipe_of("onnx")
    values = {"max_length": 512, "max_tokens": 40, "temperature": 0.9, "seed": 7}
    chosen = recipe.hyperparameters[Task.GENERATION].model_validate(values).model_dump(mode="json")
    settings = recipe.settings.model_validate({}).model_dump(mode="json")
    names = (
        *("model.safetensors", "config.json", "generation_config.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    )
    weights = {name: (TINY_LLAMA / name).read_bytes() for name in names}
    weights |= {name: (GRAPH / name).read_bytes() for name in ("model.onnx", "genai_config.json")}
    lock = make_shared_lock(
        serving={"max_concurrency": 1, "max_queue": 1, "canary_seconds": 1},
        settings=settings,
        worker=recipe.worker,
        hyperparameters=chosen,
        weights=weights,
        overrides={"max_tokens": {"maximum": 400}},
        task=Task.GENERATION,
        features=recipe.features(Task.GENERATION, chosen, settings),
        engine="onnx",
        environment=recipe.environment,
    )

    def place(root):
        for name, data in weights.items():
            (root / "models" / name).write_bytes(data)

    ops = {"cost": cost_of(1), "audit": {"when_full": "go_on", "max_file": "4KiB"}}
    environment = {
        "MEALKIT_PORT": str(ports["kit"]),
        "MEALKIT_ENGINE_PATH": str(ROOT),
        "MEALKIT_OPS": json.dumps(ops),
    }
    return start_shared(with_data(lock), change=place, environment=environment).wait_ready()


@pytest.fixture(scope="module")
def keyed(prometheus, ports, secret, make_shared_lock, start_shared):
    """A kit that shows nothing without a key, notices a hanging engine, and meets no case."""
    environment = {
        "MEALKIT_PORT": str(ports["keyed"]),
        "MEALKIT_KEYS": secret[1].line,
        "MEALKIT_OPEN": "",
        "MEALKIT_OPS": json.dumps({"cost": cost_of(NEARLY_SPENT_TOKENS)}),
    }
    serving = {"canary_seconds": 1, "timeout_seconds": 1}
    lock = make_shared_lock(serving=serving)
    case = {"name": "no-vector", "request": {"input": "Hello"}, "expect": ({"equals": []},)}
    lock = lock.model_copy(update={"cases": (Case.model_validate(case),)})
    kit = start_shared(lock, environment=environment)
    kit.client.headers["Authorization"] = f"Bearer {secret[0]}"
    return kit.wait_ready()


def with_data(lock):
    """Give a lock what the metrics of cases and of data contracts are about."""
    case = {"name": "hello", "request": {"messages": [{"role": "user", "content": "Hello"}]}}
    rules = {"inputs": {"messages": {"length": {"maximum_characters": 8000}}}}
    counts = [0] * (len(LENGTH_EDGES) + 1)
    counts[1] = 1000
    usual = Histogram(edges=LENGTH_EDGES, counts=tuple(counts))
    field = FieldProfile(values=1000, missing=0, characters=usual)
    return lock.model_copy(
        update={
            "cases": (Case.model_validate(case),),
            "data": DataContract.model_validate(rules),
            "data_profile": DataProfile(rows=1000, inputs={"messages": field}),
        }
    )


@pytest.fixture(scope="module")
def load(kit, keyed, prometheus):
    """All that metrics count, while Prometheus scrapes: answers, refusals, deaths."""
    kit.wait_for(lambda: prometheus.values('up{job="mealkit"} == 1'))
    kit.wait_for(lambda: prometheus.values('up{job="key"} == 1'))
    assert kit.chat("What does join do?").status_code == 200
    assert kit.chat("What does join do?", stream=True).status_code == 200
    assert kit.chat("word " * 600).status_code == 400
    # Refused by the data contract, and far from its profile.
    assert {kit.chat("x" * 9000).status_code for _ in range(100)} == {422}
    _crowd(kit, prometheus)
    _lose_lines(kit, prometheus)
    # One token a word.
    assert keyed.embed("word " * (NEARLY_SPENT_TOKENS * 85 // 100)).status_code == 200
    keyed.wait_for(lambda: prometheus.values("mealkit:budget_used:ratio >= 0.8 < 1"))
    os.kill(keyed.worker_pid(), signal.SIGSTOP)
    _fail(keyed, prometheus)
    os.kill(kit.worker_pid(), signal.SIGKILL)
    kit.wait_for(lambda: prometheus.values('mealkit_worker_restarts_total{job="mealkit"} == 1'))
    kit.wait_ready()
    keyed.wait_for(lambda: prometheus.values('mealkit_worker_restarts_total{job="key"} == 1'))
    keyed.wait_ready()
    assert kit.chat("What does join do?").status_code == 200
    tokens = kit.gauge("mealkit_tokens_total")
    kit.wait_for(lambda: prometheus.values(f'mealkit_tokens_total{{job="mealkit"}} >= {tokens}'))


def _fail(keyed, prometheus):
    """Ask a kit whose engine hangs, until Prometheus has seen two failed requests."""
    while not prometheus.values(
        'increase(mealkit_requests_total{job="key",status=~"5.."}[10m]) > 0'
    ):
        assert keyed.embed("Hello").status_code in {500, 503, 504}


def _lose_lines(kit, prometheus):
    """Take the audit log's folder away, until Prometheus has seen that lines are missing."""
    (chain,) = (kit.root / "state" / "audit").glob("chain-*")
    away = chain.rename(chain.with_name("away"))
    while not prometheus.values("mealkit_audit_lost_total > 0"):
        assert kit.chat("x" * 9000).status_code == 422
    away.rename(chain)


def _crowd(kit, prometheus):
    """Ask more at once than engine and queue take, until Prometheus has seen it; then go away."""
    body = {"model": "stand-in", "messages": [{"role": "user", "content": "Hello"}], **LONG}
    has_seen = threading.Event()

    def ask():
        with httpx2.Client(base_url=kit.client.base_url) as client:
            while not has_seen.is_set():
                try:
                    client.post("/v1/chat/completions", json=body, timeout=2)
                except httpx2.TimeoutException:
                    continue

    with ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(ask) for _ in range(3)]
        kit.wait_for(
            lambda: (
                prometheus.values("max_over_time(mealkit_requests_running[10m]) == 1")
                and prometheus.values("max_over_time(mealkit_requests_waiting[10m]) == 1")
                and prometheus.values('mealkit_failures_total{code="REQUEST_BUSY"} > 0')
                and prometheus.values('mealkit_requests_total{status="499"} > 0')
            )
        )
        has_seen.set()
        for caller in callers:
            caller.result()


def test_what_a_kit_prints_is_as_prometheus_wants_it(kit, load):
    """promtool has no complaint about names, units and help."""
    answer = kit.client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Type"].startswith("text/plain")
    checked = subprocess.run(
        [need("promtool"), "check", "metrics"],
        input=answer.content,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, b"")


def test_every_metric_of_the_documentation_has_data(load, prometheus):
    """Each name of the reference page has a series, and each has been more than 0."""
    rows = re.findall(
        r"^\| `([a-z_]+)` \| (counter|gauge|histogram) ", METRICS.read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    names = [f"{name}_count" if kind == "histogram" else name for name, kind in rows]
    without = [name for name in names if not prometheus.values(f"max_over_time({name}[10m]) > 0")]
    assert not without


@pytest.mark.parametrize(
    "counted",
    [
        'failures_total{code="ENGINE_DIED",owner="kit-author",job="mealkit"}',
        'failures_total{code="ENGINE_HUNG",owner="kit-author",job="key"}',
        'failures_total{code="REQUEST_BUSY",owner="caller",job="mealkit"}',
        'failures_total{code="REQUEST_TOO_LONG",owner="caller",job="mealkit"}',
        'canaries_total{result="failed",job="key"}',
        'worker_restarts_total{job="mealkit"}',
    ],
)
def test_the_first_event_is_an_increase(load, prometheus, counted):
    """A counter is there before what it counts, so that alerts see what happens once."""
    assert prometheus.values(f"increase(mealkit_{counted}[10m]) > 0")


def test_counters_go_on_when_the_engine_is_started_again(load, prometheus):
    """Only the container's own start begins again at 0."""
    for name in ("tokens_total", "requests_total", "request_seconds_count", "failures_total"):
        assert set(prometheus.values(f"resets(mealkit_{name}[10m])")) == {0}


def test_who_may_scrape(load, kit, prometheus):
    """With the key of the how-to; without it, or for a name that the kit does not know, the target is down."""
    targets = kit.wait_for(
        lambda: (
            (found := prometheus.targets())
            and all(target["lastScrape"] > "1" for target in found.values())
            and found
        )
    )
    seen = {job: (target["health"], target["lastError"]) for job, target in targets.items()}
    assert seen == {
        "mealkit": ("up", ""),
        "key": ("up", ""),
        "no key": ("down", "server returned HTTP status 401 Unauthorized"),
        "name": ("down", "server returned HTTP status 403 Forbidden"),
    }


def test_the_alerts_of_the_documentation_fire(load, kit, prometheus):
    """promtool accepts configuration and rules, and each alert has fired for what it is about."""
    checked = subprocess.run(
        [need("promtool"), "check", "config", prometheus.config],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    for alert in ALERTS:
        fired = f'max_over_time(ALERTS{{alertname="{alert.name}",alertstate="firing"}}[10m])'
        kit.wait_for(lambda fired=fired: prometheus.values(fired))


@pytest.mark.parametrize("record", [item.record for item in RECORDINGS])
def test_every_recording_rule_has_data(load, kit, prometheus, record):
    """What dashboards and alerts use is recorded."""
    kit.wait_for(lambda: prometheus.values(f"count_over_time({record}[10m])"))


@pytest.mark.parametrize(
    ("panel", "query"),
    [
        (panel["title"], target["expr"])
        for panel in grafana_dashboard()["panels"]
        for target in panel["targets"]
    ],
)
def test_every_panel_of_the_dashboard_has_data(load, kit, prometheus, panel, query):
    """Each query of the dashboard returns data of a kit that has met everything once."""
    asked = query.replace("$__rate_interval", "5m").replace("$job", ".+").replace("$instance", ".+")
    kit.wait_for(lambda: prometheus.values(asked))


def test_a_slow_answer_is_found_by_its_request(load, kit, prometheus):
    """Prometheus keeps exemplars: the ids of single requests, beside the bucket they fall into."""
    seen = kit.client.get("/metrics", headers={"Accept": ACCEPT})
    assert seen.headers["Content-Type"].startswith("application/openmetrics-text")
    question = {"query": "mealkit_request_seconds_bucket", "start": "0", "end": "9999999999"}

    def found():
        answer = prometheus.client.get("/api/v1/query_exemplars", params=question).json()
        return [item for series in answer["data"] for item in series["exemplars"]]

    kit.wait_for(found)
    assert all(item["labels"]["request_id"] for item in found())


def test_callers_add_no_series(load, kit, prometheus):
    """Whatever callers write into requests: other paths, methods, models, keys, ids."""

    def attack(number):
        name = f"hostile-{number}"
        sent = {"Authorization": f"Bearer {name}", "X-Request-Id": name, "User-Agent": name}
        kit.client.get(f"/{name}", headers=sent)
        kit.client.get(f"/v1/models/{name}")
        kit.client.request(name, "/metrics")
        kit.client.request(name, "/v1/chat/completions")
        kit.post(f"/v1/chat/completions?{name}={name}", messages=[], **{name: name})
        kit.client.post("/v1/chat/completions", json={"model": name, "messages": []})
        return kit.client.get("/metrics").text

    first = attack(0)
    last = [attack(number) for number in range(1, 20)][-1]
    assert "hostile" not in last
    assert len(last.splitlines()) == len(first.splitlines())
