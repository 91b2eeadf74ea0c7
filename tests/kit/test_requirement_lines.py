"""A line that a kit cannot require is named with what to do instead."""

import pytest

from mealkit.errors import KitError
from mealkit.kit.load import load_kit
from mealkit.kit.requirement_lines import contradicts, fault_in


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r requirements.txt", "-r is an option"),
        ("--requirement=requirements.txt", "--requirement is an option"),
        ("-c constraints.txt", "-c is an option"),
        ("-e .", "-e is an option"),
        ("--index-url https://index.invalid/simple", "--index-url is an option"),
        ("six==1.16.0 --index-url https://index.invalid/simple", "--index-url is an option"),
        ("six==1.16.0 --hash=sha256:ab", "--hash is an option"),
        ("--pre", "--pre is an option"),
        ("--no-binary :all:", "--no-binary is an option"),
        ("git+https://forge.invalid/x.git@abc", "an address"),
        ("https://forge.invalid/x-1.0-py3-none-any.whl", "an address"),
        ("six @ https://forge.invalid/six.whl", "an address"),
        ("./wheels/six-1.0-py3-none-any.whl", "an address"),
        (".", "not a requirement"),
        ("six 1.16", "not a requirement"),
        ("six\nnumpy", "not a requirement"),
        ("a" * 1001, "not a requirement"),
    ],
)
def test_each_kind_of_line_has_its_reason(line, why):
    """Options of pip, addresses, and text that is no requirement at all."""
    fault = fault_in(line)
    assert why in fault.why
    assert fault.instead


@pytest.mark.parametrize(
    "line", ["six", "a-b[c]>=1,<2", "a~=1.0; python_version < '3.12'", "a===1"]
)
def test_what_an_index_has_by_name_is_a_requirement(line):
    """With extras, ranges and markers."""
    assert fault_in(line) is None


@pytest.mark.parametrize(
    ("line", "excludes"),
    [
        ("pydantic<2", True),
        ("pydantic==1.10.*", True),
        ("pydantic~=1.9", True),
        ("Pydantic==2.4.2", True),
        ("pydantic", False),
        ("pydantic<3", False),
        ("pydantic>=1", False),
        ("pydantic!=2.5", False),
        ("pydantic>=2,<3,!=2.5.*", False),
        ("pydantic==2.5.*", False),
        ("pydantic>2.5,<2.6", False),
        ("pydantic===2", True),
        ("pydantic===any", False),
        ("pydantic-core<1", False),
    ],
)
def test_only_a_range_without_a_version_in_common_contradicts(line, excludes):
    """What may fit is left to the resolver."""
    assert contradicts(line, "pydantic>=2.5") is excludes


def test_every_line_is_named_at_once(write_kit, good):
    """With the line of kit.yaml, and no password."""
    lines = ["git+https://me:pw1@forge.invalid/x.git", "-r more.txt", "six"]
    text = good.replace("requirements: [numpy<3]", f"requirements: {lines}")
    with pytest.raises(KitError) as caught:
        load_kit(write_kit(text))
    found = [item for item in caught.value.problems if item.code == "KIT_INVALID"]
    assert [item.message.partition(":")[0] for item in found] == [
        "runtime.requirements.0",
        "runtime.requirements.1",
    ]
    assert all(item.where and item.hint for item in found)
    assert "pw1" not in str(caught.value)
