"""The build part of a cog.yaml becomes a kit's runtime, or is told with the reason."""

import pytest

from mealkit.importing.cog_build import read_build


def left(build, **texts):
    return [item.what for item in read_build(build, texts).left_out]


@pytest.mark.parametrize(
    ("asked", "python", "suite", "is_told"),
    [
        (None, "3.13", "trixie", False),
        ("3.11", "3.11", "bookworm", False),
        ("3.11.9", "3.11", "bookworm", False),
        (3.13, "3.13", "trixie", False),
        ("3.8", "3.11", "bookworm", True),
        ("3.10", "3.11", "bookworm", True),
        (3.1, "3.11", "bookworm", True),
        ("3.12", "3.13", "trixie", True),
        ("3.14.1", "3.13", "trixie", True),
        (["3.11"], "3.13", "trixie", True),
    ],
)
def test_a_python_is_that_of_a_debian_suite(asked, python, suite, is_told):
    """Another one is told, and the nearest is taken; old packages have wheels for old Pythons."""
    found = read_build({"python_version": asked}, {})
    assert (found.python, found.suite, bool(found.left_out)) == (python, suite, is_told)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), ("yes", True), ("On", True), (False, False), ("no", False), (None, False)],
)
def test_a_gpu_is_asked_for_in_the_words_of_yaml(value, expected):
    """Those of YAML 1.1, as Cog reads them."""
    assert read_build({"gpu": value}, {}).gpu is expected


def test_requirements_are_read_from_files_that_include_each_other():
    """Each file once; comments, hashes and continued lines are read as pip does."""
    texts = {
        "requirements.txt": "a==1 # why\n# comment\n-r more/b.txt\nc \\\n >=2\n\n",
        "more/b.txt": "b==1 --hash=sha256:0\n--requirement ../requirements.txt\n",
    }
    found = read_build({"python_requirements": "./requirements.txt"}, texts)
    assert found.requirements == ("a==1", "b==1", "c>=2")
    assert found.left_out == ()


@pytest.mark.parametrize(
    "line",
    [
        *("--index-url https://a.invalid", "-e .", "git+https://a.invalid/x", "./local", "a b"),
        *("a @ https://a.invalid/a.whl", "cog", "Cog>=0.9", "a\u2028b", "a" * 2000 + " b"),
    ],
)
def test_a_requirement_that_no_kit_can_have_is_told(line):
    """With its place."""
    (what,) = left({"python_packages": ["numpy", line]})
    assert what.startswith("build.python_packages[1]: ")


def test_a_requirements_file_that_is_not_there_is_told():
    """So is one that leads out of the project."""
    assert left({"python_requirements": "none.txt"}) == ["none.txt"]
    text = {"requirements.txt": "-r ../../etc/passwd\n"}
    found = read_build({"python_requirements": "requirements.txt"}, text)
    assert [item.what for item in found.left_out] == ["../../etc/passwd"]


def test_system_packages_are_names_each_once():
    """A version, an option and what is no text are told."""
    found = read_build({"system_packages": ["ffmpeg", "ffmpeg", "a=1", "-y", 7, "libgl1"]}, {})
    assert found.packages == ("ffmpeg", "libgl1")
    assert len(found.left_out) == 3


def test_commands_and_versions_are_told():
    """No build of a kit runs anything; of a variable, only its name is repeated."""
    build = {
        "run": ["make", {"command": "pget x"}],
        "pre_install": ["apt"],
        "environment": ["TOKEN=secret"],
        "cuda": "12.1",
        "sdk_version": "1",
    }
    assert left(build) == [
        "build.pre_install[0]: apt",
        "build.run[0]: make",
        "build.run[1]: pget x",
        "build.environment: TOKEN",
        "build.cuda: 12.1",
        "build.sdk_version: 1",
    ]


@pytest.mark.parametrize("name", ["run", "system_packages", "python_packages", "environment"])
def test_a_field_that_should_be_a_list_is_listed(name):
    """It is not read letter by letter."""
    assert left({name: "text"}) == [f"build.{name}"]
    assert left({name: None}) == []
