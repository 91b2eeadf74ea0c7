"""A Python and its platform decide which wheels fit and which markers hold."""

import pytest
from packaging.markers import InvalidMarker

from mealkit.lock.kit_parts import PythonTarget
from mealkit.sources.uv_target import marker_holds, uv_platform, wheel_tags

TRIXIE = PythonTarget("3.13", "amd64", "2.41")
BOOKWORM = PythonTarget("3.11", "arm64", "2.36")


@pytest.mark.parametrize(
    ("architecture", "glibc", "expected"),
    [
        ("amd64", "2.41", "x86_64-manylinux_2_40"),
        ("amd64", "2.36", "x86_64-manylinux_2_36"),
        ("amd64", "2.30", "x86_64-manylinux_2_28"),
        ("amd64", "2.17", "x86_64-manylinux_2_17"),
        ("arm64", "2.36", "aarch64-manylinux_2_36"),
        ("amd64", "2.12", "x86_64-manylinux_2_17"),
    ],
)
def test_uv_is_told_the_newest_platform_that_the_glibc_runs(architecture, glibc, expected):
    """It knows only some of them."""
    assert uv_platform(PythonTarget("3.13", architecture, glibc)) == expected


def test_the_best_tag_comes_first():
    """The newest glibc that the target runs, for this very Python."""
    tags = [str(tag) for tag in wheel_tags(TRIXIE)]
    assert tags[0] == "cp313-cp313-manylinux_2_41_x86_64"
    assert {"cp313-cp313-manylinux2014_x86_64", "cp312-abi3-manylinux1_x86_64"} <= set(tags)
    assert {"py3-none-any", "cp313-cp313-linux_x86_64"} <= set(tags)


@pytest.mark.parametrize(
    "tag",
    [
        "cp313-cp313-manylinux_2_42_x86_64",
        "cp313-cp313-manylinux_2_17_aarch64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp313-cp313t-manylinux_2_17_x86_64",
        "cp314-cp314-manylinux_2_17_x86_64",
    ],
)
def test_other_platforms_and_pythons_do_not_fit(tag):
    """A newer glibc, another processor, another C library, a free-threaded Python."""
    assert tag not in {str(item) for item in wheel_tags(TRIXIE)}


def test_arm_has_no_older_names():
    """Its first glibc that wheels are built for is 2.17."""
    tags = {str(tag) for tag in wheel_tags(BOOKWORM)}
    assert "cp311-cp311-manylinux_2_17_aarch64" in tags
    assert "cp311-cp311-manylinux2014_aarch64" in tags
    assert not any("manylinux_2_16" in tag or "manylinux2010" in tag for tag in tags)


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (None, True),
        ("python_version >= '3.13'", True),
        ("python_version < '3.9'", False),
        ("sys_platform == 'win32'", False),
        ("platform_machine == 'x86_64'", True),
        ("platform_machine == 'amd64'", False),
        ("implementation_name == 'pypy'", False),
        ("extra == 'test'", False),
        ("python_full_version == '3.13.0'", True),
    ],
)
def test_a_marker_is_true_of_the_target_not_of_this_machine(marker, expected):
    """By the names that Python itself uses."""
    assert marker_holds(marker, TRIXIE) is expected


def test_what_is_no_marker_is_refused():
    """It is not taken for true."""
    with pytest.raises(InvalidMarker):
        marker_holds("python >", TRIXIE)
