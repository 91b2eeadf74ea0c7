"""Only syntax that newer Pythons added makes an error of an older one uncertain."""

import ast
import sys

import pytest

from mealkit.engines.newer_syntax import may_be_newer

OLD = [
    'x = f"{a} {b!r:>{w}} {{c}}"',
    "x = f'{d[\"a\"]}' + f\"{d['a']}\"",
    'x = f"""\n{a}\n"""',
    "x = f'a\\n{b}'",
    "type = 3\nprint(type)",
    "try:\n    pass\nexcept (A, B):\n    pass",
    "class A(B[int]): pass",
]
NEW = [
    "x = f'{d['a']}'",
    'x = f"{a\n}"',
    "x = f\"{'\\n'.join(a)}\"",
    'x = f"""{d["""a"""]}"""',
    "def f[T](x: T) -> T: ...",
    "class A[T]: ...",
    "type X = int",
    "try:\n    pass\nexcept A, B:\n    pass",
    't"{x}"',
]


@pytest.mark.parametrize("text", OLD)
def test_what_each_python_reads_is_not_newer(text):
    """So an error elsewhere in the file is certain."""
    ast.parse(text)
    assert not may_be_newer(text)


@pytest.mark.parametrize("text", NEW)
def test_newer_syntax_is_recognised(text):
    """What this Python cannot read may be right."""
    assert may_be_newer(text)
    if sys.version_info < (3, 12):
        with pytest.raises(SyntaxError):
            ast.parse(text)


@pytest.mark.parametrize(
    "text", ["f'" * 50_000, "def a" * 50_000 + "except " * 50_000, "\n" * 10**6]
)
def test_hostile_text_takes_linear_time(text):
    """It ends."""
    assert may_be_newer(text) in {True, False}
