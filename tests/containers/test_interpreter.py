"""The Python of an image, run here to compile: the same bytes anywhere, and clear when it cannot.

The root is a little one whose loader hands over to the Python that runs the tests.
"""

import importlib.util
import marshal
import os
import sys
import types

import pytest

from mealkit.containers.interpreter import compile_modules
from mealkit.errors import MealkitError
from mealkit.oci.tar import TarFile, TarHardlink, TarSymlink

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# --inhibit-cache, --library-path, the libraries, and the program, then what it is given.
HANDS_OVER = f'#!/bin/sh\nshift 4\nexec {sys.executable} "$@"\n'
MODULES = {
    "opt/one.py": b"X = {'a', 'b', 'c'}\ndef f(y=(1, 2)):\n    return X, y, 'text'\n",
    "opt/broken.py": b"print 'two'\n",
    "opt/noisy.py": b"assert (1, 'always')\nY = '\\d'\n",
    "opt/empty.py": b"",
    "opt/foreign.py": "# -*- coding: latin-1 -*-\nZ = 'é'\n".encode("latin-1"),
    **{f"opt/more/m{number}.py": f"N = {number}\n".encode() for number in range(40)},
}


def root(loader=HANDS_OVER, path=LOADER):
    return [
        TarFile.of(path, loader.encode(), 0o755),
        TarSymlink(f"usr/lib64/{path.rpartition('/')[2]}", f"../../{path}"),
        TarFile.of("usr/bin/python3.13", b"a program"),
    ]


def compiled(folder, modules=MODULES, **changes):
    folder.mkdir()
    files = [TarFile.of(path, data) for path, data in modules.items()]
    found = compile_modules(root(**changes), "3.13", files, folder)
    return {path: code and code.read_bytes() for path, code in zip(modules, found, strict=True)}


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
        ({"loader": "of another architecture"}, "Exec format error", "runtime.bytecode: false"),
        (
            {"loader": "#!/bin/sh\necho first >&2; echo no library >&2; exit 127\n"},
            "no library",
            "",
        ),
        ({"loader": "#!/bin/sh\nkill -9 $$\n"}, "exit code -9", ""),
        ({"path": "usr/lib/x86_64-linux-gnu/libc.so.6"}, "no loader for programs", ""),
        # As where the folder's file system is mounted noexec.
        ({"loader": "#!/etc\n"}, "Permission denied", "TMPDIR"),
    ],
)
def test_a_python_that_does_not_run_here(tmp_path, changes, said, hint):
    """The machine is told what it cannot do, however much there was to compile."""
    large = {"opt/large.py": b"# " + b"x" * 1_000_000 + b"\n", **MODULES}
    with pytest.raises(MealkitError) as caught:
        compiled(tmp_path / "a", large, **changes)
    problem = caught.value.problems[0]
    assert (problem.code, problem.owner.value) == ("BYTECODE_UNAVAILABLE", "platform")
    assert said in problem.message
    assert hint in problem.hint


def test_code_that_cannot_be_written(tmp_path):
    """The disk is named, and not the machine's Python."""
    folder = tmp_path / "a"
    (folder / "0.pyc").mkdir(parents=True)
    with pytest.raises(MealkitError) as caught:
        compile_modules(root(), "3.13", [TarFile.of("opt/one.py", b"")], folder)
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == ("DISK_DENIED", str(folder))
    assert "Is a directory" in problem.message


def test_names_of_any_bytes(tmp_path):
    """Neither a module's name nor the folder's has to be text."""
    folder = tmp_path / os.fsdecode(b"caf\xe9 a:b")
    folder.mkdir()
    name = b"opt/\xe9.py".decode(errors="surrogateescape")
    (code,) = compile_modules(root(), "3.13", [TarFile.of(name, b"")], folder)
    assert marshal.loads(code.read_bytes()[16:]).co_filename == f"/{name}"  # noqa: S302


@pytest.mark.parametrize("target", ["../../../outside", "/../../outside"])
def test_packages_that_lead_outside(tmp_path, target):
    """Nothing is written through a link that leaves the packages."""
    outside, folder = tmp_path / "outside", tmp_path / "a"
    outside.mkdir()
    folder.mkdir()
    links = [TarSymlink("usr/x", target), TarFile.of("usr/x/evil", b"")]
    with pytest.raises(MealkitError) as caught:
        compile_modules([*root(), *links], "3.13", [TarFile.of("opt/one.py", b"")], folder)
    assert "usr/x/evil, which is outside" in caught.value.problems[0].message
    assert list(outside.iterdir()) == []
    assert list(folder.iterdir()) == []


def test_links_of_packages(tmp_path):
    """An absolute link leads to the root's own file, and a second name is the first one's file."""
    loader, *rest = root()
    links = [
        TarFile.of("usr/lib/x86_64-linux-gnu/real.so", HANDS_OVER.encode()),
        TarHardlink("usr/lib/second.so", "usr/lib/x86_64-linux-gnu/real.so"),
        TarSymlink(loader.path, "/usr/lib/second.so"),
    ]
    (code,) = compile_modules([*links, *rest], "3.13", [TarFile.of("opt/one.py", b"")], tmp_path)
    assert code
