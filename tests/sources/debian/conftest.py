"""A tiny Debian mirror: real keys, real signatures, a real server on loopback."""

import functools
import gzip
import hashlib
import lzma
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes.debian_archive import Keys, made_keys

from mealkit.sources.debian.mirrors import DebianMirrors


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    with made_keys() as made:
        yield made


@dataclass
class TinyMirror:
    """A mirror's folder, served over http; ``asked`` holds every path that was requested."""

    root: Path
    keys: Keys
    url: str
    asked: list[str] = field(default_factory=list)

    def publish(
        self,
        suite: str,
        packages: str,
        *,
        signers: tuple[str, ...] = (),
        suffix: str = ".xz",
        by_hash: bool = True,
        extra: str = "",
        codename: str | None = None,
    ) -> Path:
        """Write a suite with an index of packages; return its folder."""
        folder = self.root / "dists" / suite
        index = f"main/binary-amd64/Packages{suffix}"
        pack = {".xz": lzma.compress, ".gz": gzip.compress, "": bytes}[suffix]
        body = pack(packages.encode())
        hexes = hashlib.sha256(body).hexdigest()
        places = [folder / index]
        if by_hash:
            places.append((folder / index).parent / "by-hash" / "SHA256" / hexes)
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(body)
        release = f"Suite: tiny\nCodename: {codename or suite}\n{extra}"
        if by_hash:
            release += "Acquire-By-Hash: yes\n"
        release += f"SHA256:\n {hexes} {len(body)} {index}\n"
        (folder / "Release").write_text(release)
        (folder / "InRelease").write_bytes(self.keys.sign(release.encode(), *signers))
        return folder

    def mirrors(self, *, security: tuple[str, ...] = ()) -> DebianMirrors:
        return DebianMirrors((self.url,), security, self.keys.archive)


class _Handler(SimpleHTTPRequestHandler):
    asked: list[str]

    def __init__(self, asked: list[str], *rest, **options) -> None:
        self.asked = asked
        super().__init__(*rest, **options)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/loop/"):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif self.path.startswith("/status/"):
            self.send_error(int(self.path.split("/")[2]))
        else:
            super().do_GET()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, keys: Keys) -> Iterator[TinyMirror]:
    root = tmp_path / "mirror"
    root.mkdir()
    made = TinyMirror(root, keys, "")
    handler = functools.partial(_Handler, made.asked, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def stanza(name: str, version: str = "1.0", **fields: str) -> str:
    """Return an index's paragraph; ``pre_depends`` becomes Pre-Depends."""
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    lines = [f"Package: {name}", f"Version: {version}", "Architecture: amd64"]
    lines += [f"{key.replace('_', '-').title()}: {value}" for key, value in fields.items()]
    lines += [f"Filename: pool/main/{name[0]}/{name}/{name}_{version.replace(':', '')}_amd64.deb"]
    lines += ["Size: 7", f"SHA256: {digest}", "Description: a package", " of which little is said"]
    return "\n".join(lines) + "\n\n"


@pytest.fixture(scope="session", name="stanza")
def _stanza():
    return stanza


@pytest.fixture(scope="session")
def tiny_suite() -> str:
    """Return an index that has all that a base needs, in few packages."""
    return "".join(
        [
            stanza("python3.13-minimal", "3.13.5-2", pre_depends="libc6 (>= 2.38)"),
            stanza(
                "libpython3.13-stdlib", "3.13.5-2", depends="netbase, media-types | mime-support"
            ),
            stanza("media-types"),
            stanza("base-files", "13.8", pre_depends="awk"),
            stanza("ca-certificates", depends="openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0"),
            stanza("libgomp1", depends="libc6 (>= 2.38), gcc-14-base (= 14.2.0-19)"),
            stanza("libstdc++6", depends="libc6 (>= 2.38), libgcc-s1"),
            stanza("libgcc-s1", depends="libc6, gcc-14-base (= 14.2.0-19)"),
            stanza("gcc-14-base", "14.2.0-19"),
            stanza("libc6", "2.41-12", depends="libgcc-s1"),
            stanza("netbase"),
            stanza("tzdata", depends="debconf (>= 0.5) | debconf-2.0"),
            stanza("unrelated", depends="nothing-that-exists"),
        ]
    )
