"""The files that a kit names are read with it: from its folder, and within bounds."""

from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.errors import KitError
from mealkit.kit.files import decoded, image_path, secret_problem, source_folder
from mealkit.kit.load import load_kit


def _problems(folder, **options):
    with pytest.raises(KitError) as caught:
        load_kit(folder, **options)
    return caught.value.problems


def _with_code(good: str, code: str) -> str:
    return good.replace("  requirements:", f"  code: {code}\n  requirements:")


def test_code_is_read_by_name_and_pattern(write_kit, good):
    """Each file once, by its path in the kit's folder."""
    folder = write_kit(_with_code(good, '[handler.py, "lib/*.py", "lib/**/*.py"]'))
    (folder / "lib" / "deep").mkdir(parents=True)
    for name in ("handler.py", "lib/a.py", "lib/deep/b.py", "lib/notes.txt"):
        (folder / name).write_text(f"# {name}\n")
    assert load_kit(folder).code == {
        name: f"# {name}\n" for name in ("handler.py", "lib/a.py", "lib/deep/b.py")
    }


@pytest.mark.parametrize(
    ("code", "data", "message"),
    [
        ("[other.py]", b"", "runtime.code[0]: other.py does not exist"),
        ('["a**.py"]', b"", "runtime.code[0]: a**.py is not a pattern"),
        ("[handler.py]", b"\xff", "handler.py is not UTF-8"),
        ("[handler.py]", b"\0", "handler.py contains a NUL character"),
        ("[handler.py]", b"x" * (1024 * 1024 + 1), "handler.py is larger than"),
        ("[../handler.py]", b"", "is not a path inside a folder"),
    ],
)
def test_code_that_cannot_be_taken_is_refused(write_kit, good, code, data, message):
    """Missing files, patterns that are none, and what is not text, each with its line."""
    folder = write_kit(_with_code(good, code))
    (folder / "handler.py").write_bytes(data)
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    (found,) = caught.value.problems
    assert message in found.message
    assert found.where is not None
    assert "kit.yaml:" in found.where


def _with_case(good: str, name: str) -> str:
    return f"{good}\ncases: [{{name: a, request: {{}}, files: {{page: {name}}}}}]\n"


def test_files_of_cases_may_be_of_any_kind(write_kit, good):
    """They are hashed; the lock has their digests."""
    folder = write_kit(_with_case(good, "pages/a.png"))
    (folder / "pages").mkdir()
    (folder / "pages" / "a.png").write_bytes(b"\x89PNG\0")
    assert load_kit(folder).case_files == {"pages/a.png": (Digest.of(b"\x89PNG\0"), 5)}


@pytest.mark.parametrize(
    ("name", "data", "code", "message"),
    [
        ("a.png", None, "KIT_FILE_MISSING", "cases[0].files.page: a.png does not exist"),
        ("../a.png", None, "KIT_INVALID", "is not a path inside a folder"),
        ("a.png", Path("/etc/passwd"), "KIT_PATH_OUTSIDE", "points to /etc/passwd"),
        ("id_rsa", b"x", "KIT_SECRET", "a private key"),
        ("a.txt", b"ghp_" + b"0a1B2c3D4e" * 3 + b"5F6g7H", "KIT_SECRET", "a token of GitHub"),
        ("a.png", b"x" * (16 * 1024 * 1024 + 1), "KIT_INVALID", "is larger than 16777216 bytes"),
    ],
    ids=["missing", "outside", "link", "key", "token", "large"],
)
def test_files_of_cases_that_cannot_be_taken_are_refused(
    write_kit, good, name, data, code, message
):
    """As code: within the kit's folder, no secrets, and of a bounded size."""
    folder = write_kit(_with_case(good, name))
    if isinstance(data, Path):
        (folder / name).symlink_to(data)
    elif data is not None:
        (folder / name).write_bytes(data)
    (found,) = _problems(folder)
    assert found.code == code
    assert message in found.message
    assert "kit.yaml:" in (found.where or "")


def test_a_link_out_of_the_folder_is_refused(write_kit, good, tmp_path):
    """A kit cannot bring what does not lie in its folder."""
    folder = write_kit(_with_code(good, '["lib/*.py"]'))
    (tmp_path / "secret.py").write_text("secret\n")
    (folder / "lib").mkdir()
    (folder / "lib" / "secret.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(KitError, match="KIT_PATH_OUTSIDE"):
        load_kit(folder)


def test_a_lock_is_never_a_part_of_itself(write_kit, good):
    """A pattern that means every file means all but the lock."""
    folder = write_kit(good.replace("  requirements:", "  code: ['*']\n  requirements:"))
    (folder / "kit.lock").write_text("{}")
    assert set(load_kit(folder).code) == {"kit.yaml"}


def test_more_code_than_a_lock_can_carry_is_refused(write_kit, good):
    """Before it is all read into memory."""
    folder = write_kit(good.replace("  requirements:", "  code: ['lib/*']\n  requirements:"))
    (folder / "lib").mkdir()
    for number in range(9):
        (folder / "lib" / f"{number}.py").write_text("#" * (1024 * 1024))
    (found,) = _problems(folder)
    assert "all files together" in found.message


def test_a_text_that_is_not_utf_8_is_named_by_its_line():
    """And by the byte that is none."""
    assert decoded("ü".encode()) == ("ü", None)
    text, fault = decoded(b"one\ntwo\xff\n")
    assert text == ""
    assert fault is not None
    assert "byte 0xff on line 2" in fault[0]


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("oci:base", "base"),
        ("oci-archive:a/b.tar", "a/b.tar"),
        ("debian:12", None),
        ("localhost:5000/oci", None),
    ],
)
def test_a_base_on_this_machine_is_told_from_one_in_a_registry(reference, path):
    """Only the first has a path."""
    assert image_path(reference) == path


def test_a_source_folder_may_begin_with_a_home(tmp_path, monkeypatch):
    """That of a user who is not known is no folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source_folder(Path("/kit"), "weights") == Path("/kit/weights")
    assert source_folder(Path("/kit"), "~/weights") == tmp_path / "weights"
    with pytest.raises(OSError, match="this user does not exist"):
        source_folder(Path("/kit"), "~no-such-user/weights")


@pytest.mark.parametrize(("name", "word"), [("a/b.pem", "[a/b.pem]"), ("a, b", '["a, b"]')])
def test_the_line_that_lifts_a_secret_can_be_pasted(name, word):
    """A name that YAML would read otherwise is quoted."""
    assert (secret_problem(name, "a key", None).hint or "").endswith(f"allow_secrets: {word}")


@pytest.mark.parametrize(
    ("wheels", "code", "said"),
    [
        ("[none.whl]", "KIT_FILE_MISSING", "none.whl does not exist"),
        ("[wheels]", "KIT_FILE_MISSING", "wheels contains no wheel"),
        ("[prompts/query.jinja]", "KIT_INVALID", "is not a wheel"),
        ("[loop]", "KIT_FILE_MISSING", "loop cannot be resolved"),
        ("[out.whl]", "KIT_PATH_OUTSIDE", "out.whl"),
    ],
)
def test_what_is_no_wheel_of_the_kit_is_told(write_kit, good, tmp_path, wheels, code, said):
    """Missing, an empty folder, another file, a link in a circle, a link out."""
    folder = write_kit(good.replace("  requirements:", f"  wheels: {wheels}\n  requirements:"))
    (folder / "wheels").mkdir()
    (folder / "loop").symlink_to("loop")
    (tmp_path / "out.whl").write_text("")
    (folder / "out.whl").symlink_to(tmp_path / "out.whl")
    (found,) = _problems(folder)
    assert (found.code, said in found.message) == (code, True)


def test_wheels_are_found_by_name_and_by_folder(write_kit, good):
    """Of a folder, its wheels and nothing else."""
    text = good.replace("  requirements:", "  wheels: [wheels, a.whl]\n  requirements:")
    folder = write_kit(text)
    (folder / "wheels").mkdir()
    for name in ("wheels/b.whl", "wheels/notes.txt", "a.whl"):
        (folder / name).write_text("")
    assert load_kit(folder).wheels == (folder / "wheels/b.whl", folder / "a.whl")


def test_the_texts_of_all_prompts_together_are_bounded(write_kit, good):
    """One file that many prompts name counts for each, because the lock has it for each."""
    names = "\n".join(f"  p{number}: {{file: prompts/large.jinja}}" for number in range(9))
    folder = write_kit(good.replace("prompts:\n", f"prompts:\n{names}\n"))
    (folder / "prompts" / "large.jinja").write_text("x" * (1024 * 1024))
    assert any("all prompts together" in item.message for item in _problems(folder))


@pytest.mark.parametrize("place", ["prompt", "code", "wheel"])
def test_a_pointer_is_not_taken_for_the_file(write_kit, good, place):
    """Git LFS stores a large file elsewhere and leaves a small text in its place."""
    more = {"code": "code: [a.py]", "wheel": "wheels: [a.whl]"}.get(place, "code: []")
    folder = write_kit(good.replace("  requirements:", f"  {more}\n  requirements:"))
    name = {"prompt": "prompts/query.jinja", "code": "a.py", "wheel": "a.whl"}[place]
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"
    (folder / name).write_text(pointer)
    with pytest.raises(KitError, match="is a Git LFS pointer") as caught:
        load_kit(folder)
    assert "git lfs pull" in caught.value.problems[0].hint
