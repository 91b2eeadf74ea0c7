"""The downloader: resumed, hashed, verified; nothing wrong is ever left behind."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes.odd_server import odd_server
from fakes.told import Told

from mealkit.digest import Digest
from mealkit.errors import SourceError, StoreError
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.web.http_client import open_client
from mealkit.web.retry import Retry

DATA = random.Random(1).randbytes(3_000_000)
DIGEST = Digest.of(DATA)

FETCH = """
import sys
from pathlib import Path
from mealkit.digest import Digest
from mealkit.sources.file_cache import FileCache
from mealkit.web.http_client import open_client
from mealkit.web.retry import Retry
from mealkit.sources.download import Downloader
url, folder, digest, size = sys.argv[1:5]
with open_client() as client:
    found, path = Downloader(FileCache(Path(folder)), client, retry=Retry(2, 0)).fetch(
        url, expected=Digest(digest), size_bytes=int(size)
    )
print(found)
"""


def start_fetch(url: str, folder: Path, digest: Digest = DIGEST) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, url, str(folder), digest, str(len(DATA))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def url(hub: Any) -> str:
    hub.add("weights", DATA)
    return f"{hub.url}/plain/weights"


def left_behind(cache: FileCache) -> list[Path]:
    return sorted(cache.parts.iterdir()) if cache.parts.exists() else []


def problem_of(error: Any) -> Any:
    return error.value.problems[0]


def test_a_file_is_fetched_hashed_and_cached(downloader: Downloader, hub: Any, url: str) -> None:
    """A file without an expected digest is hashed while written and stands in the cache."""
    done: list[int] = []
    digest, path = downloader.telling(Told(done)).fetch(url)
    assert digest == DIGEST
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert sum(done) == len(DATA)
    assert left_behind(downloader.cache) == []


def test_what_is_cached_is_not_asked_for(downloader: Downloader, hub: Any, url: str) -> None:
    """An expected digest that is in the cache costs no request, and progress hears of it whole."""
    downloader.fetch(url, expected=DIGEST)
    hub.seen.clear()
    done: list[int] = []
    downloader.telling(Told(done)).fetch(url, expected=DIGEST)
    assert hub.seen == []
    assert sum(done) == len(DATA)


def test_a_flipped_byte_is_refused_with_both_digests(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """One wrong bit is refused, names expected and found, and leaves nothing behind."""
    hub.fault("weights", flipped_at=2_000_000)
    wrong = bytearray(DATA)
    wrong[2_000_000] ^= 1
    with pytest.raises(SourceError) as error:
        downloader.fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert problem_of(error).code == "SOURCE_DIGEST"
    assert DIGEST in problem_of(error).message
    assert Digest.of(bytes(wrong)) in problem_of(error).message
    assert left_behind(downloader.cache) == []
    assert downloader.cache.path(DIGEST) is None


@pytest.mark.parametrize("size", [1_000_000, 0, 3_000_001])
def test_a_file_of_another_size_is_refused(
    downloader: Downloader, hub: Any, url: str, size: int
) -> None:
    """A file that is complete but shorter or longer than pinned is refused, and not kept."""
    hub.fault("weights", short_bytes=size)
    with pytest.raises(SourceError) as error:
        downloader.fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert problem_of(error).code == "SOURCE_SIZE"
    assert str(len(DATA)) in problem_of(error).message
    assert left_behind(downloader.cache) == []


def test_a_cut_stream_goes_on_where_it_stopped(downloader: Downloader, hub: Any, url: str) -> None:
    """A connection that ends early is asked for the rest, and for nothing more."""
    hub.fault("weights", cut_at=1_500_000, cuts=1)
    done: list[int] = []
    digest, path = downloader.telling(Told(done)).fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert (digest, path.read_bytes()) == (DIGEST, DATA)
    first, second = hub.downloads("weights")
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=1500000-"
    assert second.headers["If-Range"] == f'"{DIGEST.hex}"'
    assert second.sent_bytes == 1_500_000
    assert sum(done) == len(DATA)


def test_a_stream_that_is_always_cut_ends_and_can_be_resumed(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """After bounded attempts the size that arrived is named, and the next command resumes."""
    hub.fault("weights", cut_at=1_500_000, ignores_range=True)
    with pytest.raises(SourceError) as error:
        downloader.fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert problem_of(error).code == "SOURCE_SIZE"
    assert "1500000 of 3000000" in problem_of(error).message
    hub.faults.clear()
    hub.seen.clear()
    downloader.fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert hub.downloads("weights")[0].headers["Range"] == "bytes=1500000-"


def test_a_server_that_ignores_ranges_restarts_the_file(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """A whole answer to a ranged question replaces what was there."""
    hub.fault("weights", cut_at=1_500_000, cuts=1, ignores_range=True)
    done: list[int] = []
    digest, path = downloader.telling(Told(done)).fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert (digest, path.read_bytes()) == (DIGEST, DATA)
    assert sum(done) == len(DATA)


def test_a_file_that_changed_on_the_server_is_not_glued_together(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """Without an expected digest, a part of an older version is dropped, by its validator."""
    hub.fault("weights", cut_at=1_500_000)
    with pytest.raises(SourceError):
        downloader.fetch(url)
    changed = DATA[::-1]
    hub.add("weights", changed)
    hub.faults.clear()
    digest, path = downloader.fetch(url)
    assert digest == Digest.of(changed)
    assert path.read_bytes() == changed


def test_without_a_validator_nothing_unknown_is_resumed(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """Neither digest nor ETag: the file is fetched from its start."""
    hub.etag = lambda _file: ""
    hub.fault("weights", cut_at=1_500_000)
    with pytest.raises(SourceError):
        downloader.fetch(url)
    hub.faults.clear()
    hub.seen.clear()
    digest, _ = downloader.fetch(url)
    assert digest == DIGEST
    assert "Range" not in hub.downloads("weights")[0].headers


def test_a_part_with_wrong_bytes_is_fetched_once_more_from_its_start(
    downloader: Downloader, hub: Any, url: str
) -> None:
    """What a crash left wrong in a part is no reason to blame the source."""
    downloader.cache.parts.mkdir(parents=True)
    part = downloader.cache.parts / f"{DIGEST.hex}.part"
    part.write_bytes(b"\0" * 1_000_000)
    done: list[int] = []
    digest, path = downloader.telling(Told(done)).fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert (digest, path.read_bytes()) == (DIGEST, DATA)
    assert sum(done) == len(DATA)


def test_a_part_that_is_too_long_is_dropped(downloader: Downloader, hub: Any, url: str) -> None:
    """A part beyond the file's end (416) is dropped, whether the size is known or not."""
    downloader.cache.parts.mkdir(parents=True)
    part = downloader.cache.parts / f"{DIGEST.hex}.part"
    for size_bytes in (None, len(DATA)):
        part.write_bytes(b"\0" * (len(DATA) + 1))
        digest, path = downloader.fetch(url, expected=DIGEST, size_bytes=size_bytes)
        assert (digest, path.read_bytes()) == (DIGEST, DATA)
        downloader.cache.drop(DIGEST)


def test_a_whole_part_needs_no_request(downloader: Downloader, hub: Any, url: str) -> None:
    """A process killed after the last byte leaves nothing to ask for."""
    downloader.cache.parts.mkdir(parents=True)
    (downloader.cache.parts / f"{DIGEST.hex}.part").write_bytes(DATA)
    downloader.fetch(url, expected=DIGEST, size_bytes=len(DATA))
    assert hub.seen == []


def test_a_killed_process_is_resumed(downloader: Downloader, hub: Any, url: str) -> None:
    """After SIGKILL in the middle, the next process asks for the missing bytes only."""
    hub.fault("weights", gate_at=2_000_000)
    killed = start_fetch(url, downloader.cache.parts.parent)
    try:
        assert hub.at_gate.wait(60)
        part = downloader.cache.parts / f"{DIGEST.hex}.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 1_900_000)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    kept_bytes = part.stat().st_size
    hub.gate.set()
    hub.seen.clear()
    resumed = start_fetch(url, downloader.cache.parts.parent)
    out, err = resumed.communicate(timeout=60)
    assert out.strip() == DIGEST, err
    (request,) = hub.downloads("weights")
    assert request.headers["Range"] == f"bytes={kept_bytes}-"
    assert request.sent_bytes == len(DATA) - kept_bytes
    assert downloader.cache.path(DIGEST) is not None
    assert left_behind(downloader.cache) == []


def test_two_processes_download_once(downloader: Downloader, hub: Any, url: str) -> None:
    """Of two builds at once, the second waits for the first and finds the file."""
    hub.fault("weights", gate_at=1_000_000)
    folder = downloader.cache.parts.parent
    first = start_fetch(url, folder)
    assert hub.at_gate.wait(60)
    second = start_fetch(url, folder)
    part = downloader.cache.parts / f"{DIGEST.hex}.part"
    wait_until(lambda: waits_for_lock(second.pid, part))
    hub.gate.set()
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert out.strip() == DIGEST, err
    assert len(hub.downloads("weights")) == 1


def test_threads_download_once(downloader: Downloader, hub: Any, url: str) -> None:
    """Threads that want one file get it from one request."""
    found: list[Path] = []

    def fetch() -> None:
        found.append(downloader.fetch(url, expected=DIGEST)[1])

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(hub.downloads("weights")) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 404}, "SOURCE_NOT_FOUND"),
        ({"status": 410}, "SOURCE_NOT_FOUND"),
        ({"status": 401}, "SOURCE_DENIED"),
        ({"status": 403}, "SOURCE_DENIED"),
        ({"status": 503}, "SOURCE_UNREACHABLE"),
        ({"status": 418}, "SOURCE_ANSWER"),
        ({"location": "/plain/weights"}, "SOURCE_REDIRECTS"),
        ({"location": "ftp://127.0.0.1/weights"}, "SOURCE_ANSWER"),
        ({"location": "http://127.0.0.1:1/weights"}, "SOURCE_UNREACHABLE"),
    ],
)
def test_every_refusal_has_its_code(
    downloader: Downloader, hub: Any, url: str, fault: dict[str, Any], code: str
) -> None:
    """Statuses, redirect loops and dead ends are told apart; no part stays."""
    hub.fault("weights", **fault)
    with pytest.raises(SourceError) as error:
        downloader.fetch(url, expected=DIGEST)
    assert problem_of(error).code == code
    assert problem_of(error).where.startswith("http://127.0.0.1")


@pytest.mark.parametrize(
    ("stated", "waits"), [("7", [7.0]), ("0", [0.0]), ("3600", [])], ids=["short", "now", "long"]
)
def test_a_server_is_left_alone_for_as_long_as_it_asks(
    cache: FileCache, stated: str, waits: list[float]
) -> None:
    """Retry-After is honoured; a server that asks for more than a minute is given up."""
    waited: list[float] = []
    with odd_server(429, {"Retry-After": stated}, b"") as address, open_client() as client:
        downloader = Downloader(cache, client, retry=Retry(2, sleep=waited.append))
        with pytest.raises(SourceError, match="SOURCE_UNREACHABLE"):
            downloader.fetch(address, expected=DIGEST)
    assert waited == waits


def test_a_server_that_recovers_is_asked_again(downloader: Downloader, hub: Any, url: str) -> None:
    """Two failures of the server are got over without a word."""
    hub.fault("weights", status=503, statuses=2)
    assert downloader.fetch(url, expected=DIGEST)[0] == DIGEST


def test_a_server_that_is_down_is_unreachable(downloader: Downloader, hub: Any, url: str) -> None:
    """A refused connection is a problem of the platform."""
    hub.stop()
    with pytest.raises(SourceError) as error:
        downloader.fetch(url, expected=DIGEST)
    assert problem_of(error).code == "SOURCE_UNREACHABLE"


def test_a_token_stays_with_its_host(
    downloader: Downloader, hub: Any, mirror: Any, url: str
) -> None:
    """A redirect to another origin loses the token."""
    mirror.add("weights", DATA)
    hub.fault("weights", location=f"{mirror.url}/plain/weights")
    headers = {"Authorization": "Bearer token-of-the-test"}
    downloader.fetch(url, expected=DIGEST, headers=headers)
    assert hub.seen[0].headers["Authorization"] == "Bearer token-of-the-test"
    assert "Authorization" not in mirror.seen[0].headers


def test_plain_http_needs_a_digest(
    downloader: Downloader, hub: Any, url: str, mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond loopback, plain http needs an expected digest, after a redirect too, and no token."""
    mirror.add("weights", DATA)
    monkeypatch.setenv("HTTP_PROXY", mirror.url)  # so that the host below leads to loopback
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    outside = "http://files.example.invalid/plain/weights"
    hub.fault("weights", location=outside)
    headers = {"Authorization": "Bearer token-of-the-test"}
    with open_client() as client:
        proxied = Downloader(downloader.cache, client, retry=Retry(1))
        for address in (outside, url):
            with pytest.raises(SourceError) as error:
                proxied.fetch(address)
            assert problem_of(error).code == "SOURCE_INSECURE"
        digest, _ = proxied.fetch(outside, expected=DIGEST, headers=headers)
    assert digest == DIGEST
    assert mirror.seen
    assert not any("Authorization" in seen.headers for seen in mirror.seen)


def test_local_files_are_copied(downloader: Downloader, tmp_path: Path) -> None:
    """A path or a file:// address is read like any other, and refused like any other."""
    source = tmp_path / "a wheel.whl"
    source.write_bytes(DATA)
    for address in (str(source), source.as_uri()):
        digest, path = downloader.fetch(address, expected=DIGEST)
        assert (digest, path.read_bytes()) == (DIGEST, DATA)
        downloader.cache.drop(DIGEST)
    assert source.exists()
    with pytest.raises(SourceError) as error:
        downloader.fetch(str(source), expected=Digest.of(b"other"))
    assert problem_of(error).code == "SOURCE_DIGEST"
    with pytest.raises(SourceError) as error:
        downloader.fetch(str(tmp_path / "none"))
    assert problem_of(error).code == "SOURCE_NOT_FOUND"
    assert left_behind(downloader.cache) == []


def test_a_full_disk_is_named_and_the_download_resumes(hub: Any, url: str, tmp_path: Path) -> None:
    """A write that the system refuses is DISK_FULL; with room again, it goes on."""
    script = FETCH.replace(
        "import sys\n",
        "import sys, resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, -1))\n",
    )
    folder = tmp_path / "cache"
    command = [sys.executable, "-c", script, url, str(folder), DIGEST, str(len(DATA))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreError: DISK_FULL" in done.stderr
    kept = folder / "parts" / f"{DIGEST.hex}.part"
    assert kept.stat().st_size == 1_000_000
    hub.seen.clear()
    out, err = start_fetch(url, folder).communicate(timeout=60)
    assert out.strip() == DIGEST, err
    assert hub.downloads("weights")[0].headers["Range"] == "bytes=1000000-"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_small_disk_is_refused_before_a_byte_is_written(
    hub: Any, url: str, tmp_path: Path, downloader: Downloader
) -> None:
    """What cannot fit is refused with the bytes needed and free, on a real full disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        small = Downloader(FileCache(disk), downloader.client)
        with pytest.raises(StoreError) as error:
            small.fetch(url, expected=DIGEST, size_bytes=len(DATA))
        assert problem_of(error).code == "DISK_FULL"
        assert "needs 2.9 MiB more, but 1.0 MiB are free" in problem_of(error).message
        source = tmp_path / "source"
        source.write_bytes(DATA)
        with pytest.raises(StoreError) as error:
            small.fetch(str(source), expected=DIGEST)
        assert problem_of(error).code == "DISK_FULL"
    finally:
        subprocess.run(["umount", disk], check=True)


def test_hashing_agrees_with_hashlib() -> None:
    """The digest of the test data is what hashlib says."""
    assert DIGEST.hex == hashlib.sha256(DATA).hexdigest()


def wait_until(condition: Any) -> None:
    """Wait for a condition that another process brings about."""
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen within a minute")


def waits_for_lock(pid: int, path: Path) -> bool:
    """Tell whether a process waits for the lock of a file (``->`` in /proc/locks)."""
    if not path.exists():
        return False
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("->" in line and inode in line and f" {pid} " in line for line in lines)


def test_a_server_that_has_more_than_is_pinned_is_refused_before_a_byte(
    downloader: Downloader, hub: Any
) -> None:
    """A stated length beyond the pinned one is a wrong file, not a full disk."""
    hub.claim("large", b"", 2**60)
    with pytest.raises(SourceError) as error:
        downloader.fetch(f"{hub.url}/plain/large", expected=DIGEST, size_bytes=100)
    assert problem_of(error).code == "SOURCE_SIZE"
    assert str(2**60) in problem_of(error).message
    assert left_behind(downloader.cache) == []


def test_a_file_that_no_disk_holds_is_refused_before_a_byte(
    downloader: Downloader, hub: Any
) -> None:
    """Space is asked for by what the server states, or else by what is pinned."""
    hub.claim("large", b"", 2**60)
    with pytest.raises(StoreError) as error:
        downloader.fetch(f"{hub.url}/plain/large", expected=DIGEST)
    assert problem_of(error).code == "DISK_FULL"
    with odd_server(200, {}, b"data") as address, pytest.raises(StoreError) as error:
        downloader.fetch(address, expected=DIGEST, size_bytes=2**60)
    assert problem_of(error).code == "DISK_FULL"
    assert "needs " in problem_of(error).message


def test_a_server_that_states_no_length_is_bounded(downloader: Downloader) -> None:
    """Without a stated length no more comes than is pinned, or than a limit."""
    bounded = Downloader(downloader.cache, downloader.client, max_unstated_bytes=100_000)
    with odd_server(200, {}, bytes(200_000)) as address:
        with pytest.raises(SourceError) as error:
            bounded.fetch(address)
        assert problem_of(error).code == "SOURCE_ANSWER"
        with pytest.raises(SourceError) as error:
            bounded.fetch(address, expected=DIGEST, size_bytes=10)
        assert problem_of(error).code == "SOURCE_SIZE"
        digest, _ = downloader.fetch(address)
        assert digest == Digest.of(bytes(200_000))
    assert left_behind(downloader.cache) == []
    with odd_server(200, {"Content-Length": "²"}, b"data") as address:
        with pytest.raises(SourceError) as error:
            downloader.fetch(address)
        assert problem_of(error).code in ("SOURCE_ANSWER", "SOURCE_UNREACHABLE")


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/proc/self/status"])
def test_only_regular_files_are_copied(downloader: Downloader, tmp_path: Path, kind: str) -> None:
    """A path that leads to a FIFO, a device or a file of the kernel is refused, not waited for."""
    source = tmp_path / "source"
    if kind == "fifo":
        os.mkfifo(source)
    else:
        source.symlink_to(kind)
    with pytest.raises(SourceError) as error:
        downloader.fetch(str(source), expected=DIGEST)
    assert problem_of(error).code == "SOURCE_CHANGED"
    real = tmp_path / "real"
    real.write_bytes(DATA)
    with pytest.raises(SourceError) as error:
        downloader.fetch(str(real), expected=DIGEST, size_bytes=len(DATA) + 1)
    assert problem_of(error).code == "SOURCE_SIZE"
    assert left_behind(downloader.cache) == []
