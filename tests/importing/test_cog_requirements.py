"""The requirements of a Cog project keep their versions; options of pip are told apart."""

import pytest

from mealkit.importing.cog_requirements import read_requirements

OPTIONS = """\
\ufeffsix==1.16.0\r
numpy==1.26.4 \\\r
    --hash=sha256:2a02aba9ed12e4ac4eb3ea9421c420301a0c6460d9830d74a9df87efa4912010\r
torch==2.4.0 --extra-index-url=https://me:pw1@wheels.invalid/cpu\r
-c constraints.txt\r
-e .\r
--pre\r
--require-hashes\r
"""


def read(text, **files):
    texts = {"requirements.txt": text, **{f"{name}.txt": more for name, more in files.items()}}
    return read_requirements([], "requirements.txt", texts, {})


def told(found):
    return {item.what: (item.why, item.instead) for item in found.left_out}


def test_a_line_with_options_keeps_its_package():
    """With a byte order mark, line ends of Windows, and continued lines."""
    found = read(OPTIONS, constraints="urllib3<2\nsix<2\n")
    assert found.kept == ("six<2,==1.16.0", "numpy==1.26.4", "torch==2.4.0")
    left = told(found)
    assert list(left) == [
        "requirements.txt:4: --extra-index-url https://me:pw1@wheels.invalid/cpu",
        "requirements.txt:6: -e .",
        "requirements.txt:7: --pre",
        "constraints.txt:1: urllib3<2",
    ]
    assert (
        "UV_INDEX"
        in left["requirements.txt:4: --extra-index-url https://me:pw1@wheels.invalid/cpu"][1]
    )
    assert "wheel" in left["requirements.txt:6: -e ."][1]
    assert "constraint" in left["constraints.txt:1: urllib3<2"][0]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a # why\n#b\n   # c\n", ("a",)),
        ("a#b\n", ()),
        ("-rmore.txt\na", ("b", "a")),
        ("--requirement=more.txt\n", ("b",)),
        ("-r more.txt\n-r more.txt\n", ("b",)),
        ("a --hash=sha256:0 --hash=sha256:1\n", ("a",)),
        ("a; python_version < '3.12' --hash=sha256:0\n", ('a; python_version < "3.12"',)),
        ("--only-binary :all:\na", ("a",)),
        ("a-b==1\n", ("a-b==1",)),
        ("-f https://h.invalid/x.html a==1\n", ("a==1",)),
        ("--pre a==1 --extra-index-url https://h.invalid/x\n", ("a==1",)),
        ("a\t==1\t# why\n", ("a==1",)),
    ],
)
def test_lines_are_read_as_pip_reads_them(text, kept):
    """Comments, files that include others once, hashes and markers."""
    found = read(text, more="b\n-r requirements.txt\n")
    assert found.kept[: len(kept)] == kept or set(kept) <= set(found.kept)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://a.invalid",
        "-i https://a.invalid",
        "-f ./wheels",
        "--find-links=x",
        "--no-index",
    ],
)
def test_an_index_is_the_machines_to_set(line):
    """With the variables of uv."""
    found = read(line + "\n")
    assert found.kept == ()
    ((_, instead),) = told(found).values()
    assert "UV_INDEX_URL" in instead


def test_what_the_engine_cannot_run_with_is_left_out():
    """Pydantic 1 cannot describe a predictor's inputs."""
    found = read("pydantic<2\nfastapi\n")
    assert found.kept == ("fastapi",)
    assert told(found)["requirements.txt:1: pydantic<2"][0] == "the engine needs pydantic>=2.5"


def test_a_file_in_utf16_is_read_and_told():
    """As pip reads it; Cog itself does not."""
    found = read_requirements([], "requirements.txt", {}, {"requirements.txt": "\ufeffsix\r\n"})
    assert found.kept == ("six",)
    assert "UTF-16" in told(found)["requirements.txt"][0]


def test_lines_of_cog_yaml_are_read_the_same_way():
    """They may have options too."""
    lines = [("build.python_packages[0]", "torch==2.1.0 --index-url https://a.invalid/cpu")]
    found = read_requirements(lines, None, {}, {})
    assert found.kept == ("torch==2.1.0",)
    assert list(told(found)) == ["build.python_packages[0]: --index-url https://a.invalid/cpu"]
