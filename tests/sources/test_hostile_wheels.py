"""What a package index, or a file's name, says of wheels: it asks nothing of uv but what is meant."""

import pytest

from mealkit.errors import MealkitError
from mealkit.lock.kit_parts import PythonTarget
from mealkit.sources.local_wheels import local_wheels
from mealkit.sources.python_packages import resolve_packages
from mealkit.sources.uv_tool import _offered

TARGET = PythonTarget("3.13", "amd64", "2.41")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "numpy\n--index-url http://x.invalid",
            "-r /etc/passwd",
            "--find-links /",
            "a\n",
            "a\x0b",
        ),
        *("a; " + "(" * 5000, "a @ file:///etc/passwd", "../a.whl", "", "a\u2028b", "é"),
    ],
)
def test_a_requirement_is_a_name_and_versions(text):
    """Options, second lines, addresses and files are refused before uv is asked."""
    with pytest.raises(MealkitError, match="PACKAGES_UNSOLVABLE"):
        resolve_packages([text], TARGET)


@pytest.mark.parametrize(
    "name",
    ["a\n-1.0-py3-none-any.whl", "é-1.0-py3-none-any.whl", "a\x1b-1.0-py3-none-any.whl", "a.whl"],
)
def test_a_wheel_of_the_kit_has_the_name_of_a_wheel(tmp_path, name):
    """Its name becomes a line of what uv is asked."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MealkitError, match="WHEEL_INVALID"):
        local_wheels([tmp_path])


@pytest.mark.parametrize(
    "changes",
    [
        *({"name": text} for text in ("a\n--index-url x", 1, [], "a\x1b[2J")),
        *({"version": text} for text in ("1\n2", 1.5)),
        *({"size": size} for size in (-1, 2**70, "1", True)),
        *({"url": url} for url in ("http://x\ny", 1)),
        {"marker": "("},
        {"marker": "(" * 5000},
        {"sha256": "x"},
    ],
)
def test_an_answer_of_an_index_has_names_and_sizes(changes):
    """What uv writes of an index that says anything is a ValueError or what uv_tool catches."""

    def toml(value):
        if isinstance(value, str):
            return '"' + value.encode("unicode_escape").decode().replace("\\x", "\\u00") + '"'
        return str(value).lower()

    form = {"name": "a", "version": "1", "url": "https://x.invalid/a.whl", "size": 1, **changes}
    text = (
        f"[[packages]]\nname = {toml(form['name'])}\nversion = {toml(form['version'])}\n"
        + (f"marker = {toml(form['marker'])}\n" if "marker" in form else "")
        + f"[[packages.wheels]]\nurl = {toml(form['url'])}\nsize = {toml(form['size'])}\n"
        + f"hashes = {{sha256 = {toml(form.get('sha256', 'a' * 64))}}}\n"
    )
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError, RecursionError)):
        _offered(text, TARGET)
