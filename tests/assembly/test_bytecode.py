"""Which modules of a layer are compiled, and where their code goes."""

import ast
from pathlib import Path

from mealkit.assembly import assemble
from mealkit.assembly.bytecode import bytecode
from mealkit.assembly.wheel_pieces import NO_PIECES, LayerPieces
from mealkit.containers import compiling
from mealkit.digest import Digest
from mealkit.oci.tar import TarDirectory, TarFile, TarSymlink

ENTRIES = [
    TarFile.of("opt/mealkit/engine/b/__init__.py", b"b"),
    TarFile.of("opt/mealkit/engine/a.py", b"a"),
    TarFile.of("opt/mealkit/engine/a.so", b"-"),
    TarFile.of("opt/mealkit/engine/broken.py", b"!"),
    TarFile.of("usr/share/gcc/python/printers.py", b"-"),
    TarFile.of("etc/python3.13/sitecustomize.py", b"-"),
    TarSymlink("usr/lib/python3.13/sitecustomize.py", "/etc/python3.13/sitecustomize.py"),
    TarDirectory("opt/mealkit/engine/folder.py"),
]


def pieces():
    return LayerPieces(NO_PIECES, "1", None)


def no_compiler(modules):
    raise AssertionError(modules)


def test_modules_have_their_code_where_imports_look(tmp_path):
    """Each module that compiles, once."""
    asked = []

    def compile_them(modules):
        asked.append([module.path for module in modules])
        found = []
        for module in modules:
            data = b"".join(map(bytes, module.content()))
            target = tmp_path / data.decode()
            target.write_bytes(b"code of " + data)
            found.append(None if data == b"!" else target)
        return found

    found = list(bytecode(ENTRIES, "3.13", pieces(), compile_them))
    engine = "opt/mealkit/engine"
    assert asked == [[f"{engine}/{name}.py" for name in ("a", "b/__init__", "broken")]]
    assert [(item.path, b"".join(map(bytes, item.content()))) for item in found] == [
        (f"{engine}/__pycache__/a.cpython-313.pyc", b"code of a"),
        (f"{engine}/b/__pycache__/__init__.cpython-313.pyc", b"code of b"),
    ]
    assert [item.size_bytes for item in found] == [9, 9]


def test_code_that_a_package_brings_stays():
    """Nothing is put where something is."""
    brought = TarFile.of("opt/mealkit/engine/__pycache__/a.cpython-313.pyc", b"its own")
    assert list(bytecode([ENTRIES[1], brought], "3.13", pieces(), no_compiler)) == []


def test_a_compiler_that_changes_has_its_layers_made_anew():
    """Stored layers do not record the compiler: a change of its code needs a new layer format."""
    tree = ast.parse(Path(compiling.__file__).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            del node.body[0]
    code = Digest.of(ast.unparse(tree).encode()).hex[:16]
    assert (assemble._FORMAT, code) == ("1", "aee1c91635a310a0")


def test_nothing_is_started_for_a_layer_without_modules():
    """A layer of libraries alone asks for no compiler."""
    assert list(bytecode(ENTRIES[2:3], "3.13", pieces(), no_compiler)) == []
