"""The Python of an image, run here to compile: the same bytes anywhere, and clear when it cannot.

The root is a little one: the Python that runs the tests, with its loader and libraries.
"""

import importlib.util
import marshal
import os
import subprocess
import types
from pathlib import Path

import pytest
from fakes.pythons import LOADER, PYTHON, python_files

from mealkit.containers.interpreter import compile_modules
from mealkit.errors import MealkitError
from mealkit.oci.tar import TarDirectory, TarFile, TarHardlink, TarSymlink

MODULES = {
    "opt/one.py": b"X = {'a', 'b', 'c'}\ndef f(y=(1, 2)):\n    return X, y, 'text'\n",
    "opt/broken.py": b"print 'two'\n",
    "opt/noisy.py": b"assert (1, 'always')\nY = '\\d'\n",
    "opt/empty.py": b"",
    "opt/foreign.py": "# -*- coding: latin-1 -*-\nZ = 'é'\n".encode("latin-1"),
    **{f"opt/more/m{number}.py": f"N = {number}\n".encode() for number in range(40)},
}


def root(loader=None, path=LOADER):
    files = {place: data for place, data in python_files().items() if place != LOADER}
    files[path] = loader or python_files()[LOADER]
    return [TarDirectory("etc"), *(TarFile.of(place, data, 0o755) for place, data in files.items())]


def compiled(folder, modules=MODULES, least_seconds=60.0, **changes):
    folder.mkdir()
    files = [TarFile.of(path, data) for path, data in modules.items()]
    found = compile_modules(root(**changes), PYTHON, files, folder, least_seconds=least_seconds)
    return {path: code and code.read_bytes() for path, code in zip(modules, found, strict=True)}


def refused(folder, *words, **changes):
    with pytest.raises(MealkitError) as caught:
        compiled(folder, *words, **changes)
    return caught.value.problems[0]


def test_code_is_what_an_import_would_have_made(tmp_path):
    """Found by hash and never checked again, with the image's path, for every module that compiles."""
    found = compiled(tmp_path / "a")
    assert [path for path, code in found.items() if code is None] == ["opt/broken.py"]
    for path, data in found.items():
        if data is None:
            continue
        assert data[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(data[4:8], "little") == 1
        assert data[8:16] == importlib.util.source_hash(MODULES[path])
        code = marshal.loads(data[16:])  # noqa: S302
        assert isinstance(code, types.CodeType)
        assert code.co_filename == f"/{path}"
    values = {}
    exec(marshal.loads(found["opt/one.py"][16:]), values)  # noqa: S102, S302
    assert values["f"]() == ({"a", "b", "c"}, (1, 2), "text")


def test_the_bytes_depend_on_nothing_else(tmp_path, monkeypatch):
    """Another folder, order, company and environment, and other seeds of hashes: the same bytes."""
    first = compiled(tmp_path / "a")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    turned = compiled(tmp_path / "another folder", dict(reversed(MODULES.items())))
    assert turned == first
    assert compiled(tmp_path / "c", {"opt/one.py": MODULES["opt/one.py"]}) == {
        "opt/one.py": first["opt/one.py"]
    }


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"loader": b"of another architecture"}, "Exec format error", "runtime.bytecode: false"),
        ({"loader": b"#!/usr/bin/none\n"}, "No such file", ""),
        ({"path": "usr/lib/libc.so.6"}, "no loader for programs", ""),
        # As where the folder's file system is mounted noexec.
        ({"loader": b"#!/etc\n"}, "Permission denied", "TMPDIR"),
    ],
)
def test_a_python_that_does_not_run_here(tmp_path, changes, said, hint):
    """The machine is told what it cannot do, however much there was to compile."""
    large = {"opt/large.py": b"# " + b"x" * 1_000_000 + b"\n", **MODULES}
    problem = refused(tmp_path / "a", large, **changes)
    assert (problem.code, problem.owner.value) == ("BYTECODE_UNAVAILABLE", "platform")
    assert said in problem.message
    assert hint in problem.hint


def test_a_python_without_its_library_says_which(tmp_path):
    """The last words of the loader are quoted."""
    lacking = [entry for entry in root() if "libc.so" not in entry.path]
    with pytest.raises(MealkitError) as caught:
        compile_modules(lacking, PYTHON, [TarFile.of("opt/one.py", b"")], tmp_path)
    assert "libc.so.6: cannot open shared object file" in caught.value.problems[0].message


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A program that poses as the loader; it answers with what the root has in usr/answer."""
    target = tmp_path_factory.mktemp("hostile") / "loader"
    source = Path(__file__).with_name("hostile.c")
    subprocess.run(["gcc", "-O1", "-static", "-o", target, source], check=True)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\xff" * 8, "18446744073709551615 bytes of code"),
        (b"\x01\x00\x10" + bytes(5), "1048577 bytes of code"),
        (b"\x00\x00\x01" + bytes(5), None),
        (b"\x08" + bytes(7) + b"no code.", None),
        (b"\x00", None),
    ],
)
def test_a_python_that_lies(tmp_path, hostile, answer, said):
    """Whatever it answers ends as a problem or as bounded bytes, and nothing waits for ever."""
    files = [TarFile.of(path, data) for path, data in MODULES.items()]
    entries = [*root(loader=hostile), TarFile.of("usr/answer", answer)]
    if said is None:
        found = compile_modules(entries, PYTHON, files, tmp_path, least_seconds=5)
        assert all(code is None or code.stat().st_size <= 65536 for code in found)
        return
    with pytest.raises(MealkitError) as caught:
        compile_modules(entries, PYTHON, files, tmp_path, least_seconds=5)
    assert caught.value.problems[0].code == "BYTECODE_UNAVAILABLE"
    assert said in caught.value.problems[0].message
    assert not list(tmp_path.glob("tmp*"))


def test_a_python_that_hangs(tmp_path, hostile):
    """One that neither reads nor answers is ended, with the module that it was asked for."""
    large = {"opt/large.py": b"#" * 200_000}
    files = [TarFile.of(path, data) for path, data in large.items()]
    entries = [*root(loader=hostile), TarFile.of("usr/answer", b"")]
    with pytest.raises(MealkitError) as caught:
        compile_modules(entries, PYTHON, files, tmp_path, least_seconds=0.5 - 4)
    problem = caught.value.problems[0]
    assert problem.code == "BYTECODE_UNAVAILABLE"
    assert "compiling 'opt/large.py' exceeded the time limit" in problem.message


def test_code_that_cannot_be_written(tmp_path):
    """The disk is named, and not the machine's Python."""
    folder = tmp_path / "a"
    (folder / "0.pyc").mkdir(parents=True)
    with pytest.raises(MealkitError) as caught:
        compile_modules(root(), PYTHON, [TarFile.of("opt/one.py", b"")], folder)
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == ("DISK_DENIED", str(folder))
    assert "Is a directory" in problem.message


def test_names_of_any_bytes(tmp_path):
    """Neither a module's name nor the folder's has to be text."""
    folder = tmp_path / os.fsdecode(b"caf\xe9 a:b")
    folder.mkdir()
    name = b"opt/\xe9.py".decode(errors="surrogateescape")
    (code,) = compile_modules(root(), PYTHON, [TarFile.of(name, b"")], folder)
    assert marshal.loads(code.read_bytes()[16:]).co_filename == f"/{name}"  # noqa: S302


@pytest.mark.parametrize("target", ["../../../outside", "/../../outside"])
def test_packages_that_lead_outside(tmp_path, target):
    """Nothing is written through a link that leaves the packages."""
    outside, folder = tmp_path / "outside", tmp_path / "a"
    outside.mkdir()
    folder.mkdir()
    links = [TarSymlink("usr/x", target), TarFile.of("usr/x/evil", b"")]
    with pytest.raises(MealkitError) as caught:
        compile_modules([*root(), *links], PYTHON, [TarFile.of("opt/one.py", b"")], folder)
    assert "'usr/x/evil', which is outside" in caught.value.problems[0].message
    assert list(outside.iterdir()) == []
    assert list(folder.iterdir()) == []


def test_links_of_packages(tmp_path):
    """An absolute link leads to the root's own file, and a second name is the first one's file."""
    rest = [entry for entry in root() if entry.path != LOADER]
    links = [
        TarFile.of("usr/lib/x86_64-linux-gnu/real.so", python_files()[LOADER]),
        TarHardlink("usr/lib/second.so", "usr/lib/x86_64-linux-gnu/real.so"),
        TarSymlink(LOADER, "/usr/lib/second.so"),
    ]
    (code,) = compile_modules([*links, *rest], PYTHON, [TarFile.of("opt/one.py", b"")], tmp_path)
    assert code
