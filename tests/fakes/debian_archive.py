"""Little Debian archives: signing keys of our own, and a folder that a mirror would serve."""

import contextlib
import hashlib
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fakes.debs import Member, deb_of, member
from fakes.pythons import LOADER, PYTHON, python_files

KEY = "Tiny Archive <archive@example.invalid>"
OTHER_KEY = "Another Archive <other@example.invalid>"


@dataclass(frozen=True)
class Keys:
    """Two signing keys, and the keyrings that know them."""

    home: Path
    archive: Path  # knows KEY
    other: Path  # knows OTHER_KEY

    def sign(self, text: bytes, *signers: str, options: tuple[str, ...] = ()) -> bytes:
        users = [word for signer in signers or (KEY,) for word in ("--local-user", signer)]
        return self.gpg(*users, *options, "--clear-sign", text=text)

    def gpg(self, *words: str, text: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--passphrase", "", *words]
        return subprocess.run(command, input=text, check=True, capture_output=True).stdout


@contextlib.contextmanager
def made_keys() -> Iterator[Keys]:
    """Generate both keys; they are gone at the end."""
    # Not below pytest's folder: the agent's socket has at most 108 characters.
    home = Path(tempfile.mkdtemp(prefix="mk-gpg-"))
    made = Keys(home, home / "archive.gpg", home / "other.gpg")
    try:
        for user, keyring in ((KEY, made.archive), (OTHER_KEY, made.other)):
            made.gpg("--quick-generate-key", user, "rsa2048", "sign", "never")
            keyring.write_bytes(made.gpg("--export", user))
        yield made
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home)


@cache
def python_debs(loader: bytes | None = None, version: str = "2.41-12") -> dict[str, bytes]:
    """Return packages whose root has a Python that starts: the one that runs the tests.

    ``loader`` poses as its loader, in a libc6 of that version.
    """
    files = {**python_files(), **({LOADER: loader} if loader else {})}
    program = f"usr/bin/python{PYTHON}"
    modules = f"usr/lib/python{PYTHON}/"

    def chosen(prefix: str) -> list[Member]:
        return [
            member(path, data, mode=0o755)
            for path, data in files.items()
            if path.startswith(prefix)
        ]

    libraries = [
        member(path, data, mode=0o755)
        for path, data in files.items()
        if path != program and not path.startswith(modules)
    ]
    needed = {
        f"python{PYTHON}-minimal": chosen(program),
        f"libpython{PYTHON}-minimal": chosen(modules),
        "base-files": [member("etc/os-release", b"ID=debian\n")],
    }
    others = [
        f"libpython{PYTHON}-stdlib",
        *("ca-certificates", "libgomp1", "libstdc++6", "netbase", "tzdata"),
    ]
    return {
        **{name: deb_of(name, *members, suffix="") for name, members in needed.items()},
        **{name: deb_of(name) for name in others},
        "libc6": deb_of("libc6", *libraries, suffix="", version=version),
    }


def paragraph_of(name: str, data: bytes, version: str = "1.0") -> str:
    """Return what an index says of a package; a Python's depends on the C library and its modules."""
    needs = f"libc6, libpython{PYTHON}-minimal" if name == f"python{PYTHON}-minimal" else ""
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        **({"Depends": needs} if needs else {}),
        "Filename": f"pool/{name}_{version}.deb",
        "Size": str(len(data)),
        "SHA256": hashlib.sha256(data).hexdigest(),
    }
    return "".join(f"{field}: {value}\n" for field, value in fields.items()) + "\n"


def write_archive(
    root: Path,
    debs: Mapping[str, bytes],
    keys: Keys,
    *,
    suite: str = "trixie",
    libc_version: str = "2.41-12",
    date: str = "Sat, 21 Nov 2026 09:15:44 UTC",
    signers: tuple[str, ...] = (KEY,),
) -> str:
    """Write packages and a signed index of them below a folder; return the mirror's address."""
    versions = {"libc6": libc_version}
    text = ""
    (root / "pool").mkdir(parents=True, exist_ok=True)
    for name, data in debs.items():
        version = versions.get(name, "1.0")
        (root / f"pool/{name}_{version}.deb").write_bytes(data)
        text += paragraph_of(name, data, version)
    index = lzma.compress(text.encode())
    path = root / f"dists/{suite}/main/binary-amd64/Packages.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(index)
    digest = hashlib.sha256(index).hexdigest()
    release = f"Codename: {suite}\nDate: {date}\n"
    release += f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages.xz\n"
    (root / f"dists/{suite}/InRelease").write_bytes(keys.sign(release.encode(), *signers))
    return f"file://{root}"
