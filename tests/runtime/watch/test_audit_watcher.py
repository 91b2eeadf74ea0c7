"""The audit log of real kits: which requests have lines, what they state, and what survives."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from hashlib import sha256

import pytest

from mealkit.auditlog.audit_key import read_audit_keys
from mealkit.auditlog.chain_folder import chain_files
from mealkit.auditlog.chain_reader import ChainReader

KEY = "mk_" + "a" * 43
HASHED = f"sha256:{sha256(KEY.encode()).hexdigest()} team-a"


def on(**audit):
    """Return the variables that switch the log on."""
    return {"MEALKIT_OPS": json.dumps({"audit": audit})}


def folder_of(kit):
    return kit.root / "state" / "audit"


def lines_of(kit, **wanted):
    """Return the whole lines of the kit's first chain that have these values."""
    lines = [
        json.loads(line)
        for path in chain_files(folder_of(kit) / "chain-0001")
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"}\n")
    ]
    return [line for line in lines if wanted.items() <= line.items()]


def read(folder, chain="chain-0001"):
    reader = ChainReader(read_audit_keys(folder / "audit.key"))
    for path in chain_files(folder / chain):
        if not reader.read(path, lambda _: None):
            break
    return reader


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    lock = make_api_lock(prompts={"greet": ("hello {{ name }}", ("name",))})
    environment = {**on(), "MEALKIT_KEYS": HASHED, "MEALKIT_OPEN": ""}
    kit = start_shared(lock, environment=environment)
    kit.client.headers["Authorization"] = f"Bearer {KEY}"
    return kit.wait_ready()


def ended(kit, name):
    """Return the line about the end of a request."""
    return kit.wait_for(lambda: lines_of(kit, kind="request", id=name))[0]


def test_answered_request(kit):
    """A request has a line before the engine gets it, and one at its end with digests of both bodies."""
    answer = kit.client.post(
        "/v1/chat/completions",
        json={
            "model": "stand-in",
            "prompt": {"name": "greet", "variables": {"name": "Ada"}},
        },
        headers={"X-Request-Id": "first"},
    )
    assert answer.status_code == 200
    line = ended(kit, "first")
    (begun,) = lines_of(kit, kind="begun", id="first")
    assert begun["n"] == line["begun"] < line["n"]
    for each in (begun, line):
        assert (each["key"], each["path"], each["prompt"]) == (
            "team-a",
            "/v1/chat/completions",
            "greet",
        )
        assert each["input_sha256"] == sha256(answer.request.content).hexdigest()
    assert (line["outcome"], line["status"], line["problem"]) == ("answered", 200, "")
    assert line["output_sha256"] == sha256(answer.content).hexdigest()
    assert line["request_bytes"] == len(answer.request.content)
    assert line["answer_bytes"] == len(answer.content)
    assert (line["prompt_tokens"], line["answer_tokens"]) == (2, 2)
    assert line["recipe"] == answer.headers["X-Mealkit-Recipe"]
    assert "texts" not in line
    text = b"".join(path.read_bytes() for path in chain_files(folder_of(kit) / "chain-0001"))
    assert KEY.encode() not in text
    assert b"Ada" not in text


def test_stream(kit):
    """The digest of a stream is that of all bytes that the caller got."""
    answer = kit.client.post(
        "/v1/chat/completions",
        json={
            "model": "stand-in",
            "messages": [{"role": "user", "content": "count:5"}],
            "stream": True,
        },
        headers={"X-Request-Id": "stream"},
    )
    line = ended(kit, "stream")
    assert line["output_sha256"] == sha256(answer.content).hexdigest()
    assert (line["outcome"], line["answer_tokens"]) == ("answered", 5)


def test_cut_stream(kit):
    """A caller that leaves has a line, too, with what it got."""
    body = json.dumps(
        {"model": "stand-in", "messages": [{"role": "user", "content": "stall:2"}], "stream": True}
    ).encode()
    with kit.connected() as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: cut\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
            % (KEY.encode(), len(body), body)
        )
        got = b""
        while b"on " not in got:
            got += raw.recv(4096)
    line = ended(kit, "cut")
    assert (line["outcome"], line["status"]) == ("cut", 200)
    assert line["answer_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "path", "headers", "status", "code"),
    [
        ("no-key", "/v1/chat/completions", {"Authorization": ""}, 401, "REQUEST_KEY"),
        ("no-route", '/v1/nothing\n{"kind":"request"}' + "x" * 500, {}, 404, "ROUTE_UNKNOWN"),
        ("too-large", "/v1/chat/completions", {}, 413, "REQUEST_TOO_LARGE"),
        ("not-json", "/v1/chat/completions", {}, 400, "REQUEST_INVALID"),
    ],
)
def test_refused_requests(kit, name, path, headers, status, code):
    """What is refused before the engine gets it has one line, with the problem and its owner."""
    size_bytes = 1024**3 if status == 413 else 1
    with kit.connected() as raw:
        fields = {"Authorization": f"Bearer {KEY}", **headers}
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items() if value)
        target = (
            path.replace("\n", "%0A").replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
        )
        raw.sendall(
            f"POST {target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {name}\r\n{lines}"
            f"Content-Type: application/json\r\nContent-Length: {size_bytes}\r\n\r\n{{".encode()
        )
        assert f" {status} ".encode() in raw.recv(4096)
    line = ended(kit, name)
    assert (line["status"], line["problem"], line["owner"]) == (status, code, "caller")
    assert line["outcome"] == "refused"
    assert "begun" not in line
    assert len(line["path"]) <= 200
    assert line["key"] == ("" if status == 401 else "team-a")


def test_probes_have_no_lines(kit):
    """Probes come every few seconds, and would fill the log; other questions are recorded."""
    for path in ("/v1/health/live", "/healthz", "/metrics", "/v1/models"):
        kit.client.get(path, headers={"X-Request-Id": path.replace("/", ".")})
    assert ended(kit, ".v1.models")["method"] == "GET"
    assert not lines_of(kit, id=".healthz")
    assert not lines_of(kit, id=".metrics")


def test_texts(start_shared, make_api_lock):
    """With `texts` the lines have the bodies themselves, escaped, so that none is a second line."""
    kit = start_shared(make_api_lock(), environment=on(texts=True)).wait_ready()
    text = 'a\nb\u2028{"kind":"request"} \x1b[31m é'
    answer = kit.client.post(
        "/v1/chat/completions",
        json={"model": "stand-in", "messages": [{"role": "user", "content": text}]},
        headers={"X-Request-Id": "text"},
    )
    line = ended(kit, "text")
    assert line["texts"] == {"input": answer.request.content.decode(), "output": answer.text}
    (path,) = chain_files(folder_of(kit) / "chain-0001")
    assert path.read_bytes().isascii()
    kit.process.send_signal(signal.SIGINT)
    assert kit.wait_end() == 0
    counts = read(folder_of(kit)).counts
    assert counts.is_ended
    assert (counts.begun, counts.concluded) == (1, 1)
    assert kit.events("audit checkpoint")[-1]["n"] == counts.last


@pytest.fixture
def small_disk():
    """Give a kit a disk of 3 MiB for its state: a function that mounts it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mounted = []

    def mount(root):
        folder = root / "state"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=3m", "mealkit-test", str(folder)]
        subprocess.run(command, check=True)
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(kit, name):
    """Fill the kit's disk; return the file to delete."""
    ballast = kit.root / "state" / name
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    return ballast


def test_full_disk_stops(start, make_api_lock, small_disk):
    """On a full disk requests are refused, readiness says so, and nothing is missing afterwards."""
    kit = start(make_api_lock(), small_disk, on()).wait_ready()
    assert kit.chat("one").status_code == 200
    ballast = fill(kit, "ballast")
    answers = []
    while not answers or answers[-1].status_code == 200:
        answers.append(kit.chat("x " * 400))
    error = answers[-1].json()["error"]
    assert (answers[-1].status_code, error["mealkit_code"]) == (503, "AUDIT_UNWRITABLE")
    assert error["owner"] == "platform"
    assert "Retry-After" in answers[-1].headers
    ready = kit.ready()
    assert (ready.status_code, ready.json()["problem"]["code"]) == (503, "AUDIT_UNWRITABLE")
    assert "No space left" in ready.json()["reason"]
    # The reserve has room for those that are answered already, but it may be filled, too.
    more = fill(kit, "more")
    assert kit.chat("y").status_code == 503
    ballast.unlink()
    more.unlink()
    kit.wait_for(lambda: kit.ready().status_code == 200)
    assert kit.chat("two").status_code == 200
    refused = kit.wait_for(lambda: lines_of(kit, kind="request", status=503))
    assert {line["problem"] for line in refused} == {"AUDIT_UNWRITABLE"}
    kit.process.send_signal(signal.SIGINT)
    assert kit.wait_end() == 0
    reader = read(folder_of(kit))
    assert reader.fault is None
    assert reader.counts.missing == 0
    assert reader.counts.requests == len(answers) + 3
    assert reader.counts.begun == reader.counts.concluded == len(answers) + 1
    assert kit.events("audit log writable again")[-1]["missing_lines"] == 0


def test_full_disk_goes_on(start, make_api_lock, small_disk):
    """With `go_on` requests are answered; metric, log and chain state how many lines are missing."""
    kit = start(make_api_lock(), small_disk, on(when_full="go_on")).wait_ready()
    ballast = fill(kit, "ballast")
    kit.wait_for(lambda: kit.chat("x").status_code == 200 and kit.events("audit log unwritable"))
    assert kit.chat("x").status_code == 200
    assert kit.ready().status_code == 200
    assert kit.gauge("mealkit_audit_lost_total") >= 1
    ballast.unlink()
    (again,) = kit.wait_for(lambda: kit.events("audit log writable again"))
    # Only now: the last line of a request is written after its answer.
    lost = kit.gauge("mealkit_audit_lost_total")
    reader = read(folder_of(kit))
    assert reader.fault is None
    assert reader.counts.missing == again["missing_lines"] == lost


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda state: (state / "audit").write_text("a file"), "AUDIT_UNWRITABLE"),
        (lambda state: (state / "key").write_text("no key"), "AUDIT_KEY"),
    ],
    ids=["folder", "key"],
)
def test_log_that_cannot_be_opened(start, make_api_lock, change, code):
    """Such a kit does not start, and says why."""

    def prepare(root):
        (root / "state").mkdir()
        change(root / "state")
        environment["MEALKIT_AUDIT_KEY_FILE"] = str(root / "state" / "key")
        if code != "AUDIT_KEY":
            (root / "state" / "key").write_text("00" * 32)

    environment = on()
    kit = start(make_api_lock(), prepare, environment)
    assert kit.wait_end() == 17
    assert kit.lines[-1]["code"] == code
