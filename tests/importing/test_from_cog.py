"""A Cog project becomes a kit: what can be taken over is, and all else is told with its reason."""

import ast
import importlib
import json

import pytest
import yaml
from fakes.cog_features import STREAMED
from fakes.cog_projects import FILES, GREETING, LADEN, LATER, PIECES, WEIGHTED, write_project

from mealkit.errors import MealkitError
from mealkit.importing.cog_files import CogProject
from mealkit.importing.from_cog import cog_proposal
from mealkit.importing.proposal import proposal_files


def propose(files, **more):
    texts = {name: text for name, text in files.items() if isinstance(text, str)}
    others = {name: len(data) for name, data in files.items() if isinstance(data, bytes)}
    return cog_proposal(CogProject("/projects/soup", texts, others, **more))


def left_out(files):
    return {item.what: item for item in propose(files).left_out}


def test_a_plain_project_is_taken_over_whole():
    """With the predictor as it is, and its first sentence as the description."""
    proposal = propose(GREETING)
    assert proposal.left_out == []
    assert proposal.engine == "python"
    assert proposal.kit["description"] == "Greet somebody."
    assert proposal.kit["model"]["name"] == "soup"
    assert proposal.kit["model"]["weights"] == []
    runtime = proposal.kit["runtime"]
    assert (runtime["python"], runtime["base"]["suite"]) == ("3.13", "trixie")
    assert runtime["code"] == ["cog.py", "mealkit_handler.py", "predict.py"]
    assert proposal.files["predict.py"] == GREETING["predict.py"]
    for name in ("cog.py", "mealkit_handler.py"):
        ast.parse(proposal.files[name], feature_version=(3, 11))


def test_everything_that_a_kit_does_otherwise_is_told():
    """By its place in the project, each with a reason and something to do."""
    found = left_out(LADEN)
    assert set(found) == {
        "build.python_version: 3.10",
        "requirements.txt:2: --extra-index-url https://wheels.example.invalid/cu121",
        "requirements.txt:6: soup @ git+https://example.invalid/soup.git@abc",
        "requirements.txt:7: ./local/wheel.whl",
        "requirements.txt:8: cog==0.9.0",
        "missing.txt",
        "build.system_packages: libsm6=2:1.2",
        "build.pre_install[0]: echo begin",
        "build.run[0]: pip install git+https://example.invalid/soup.git",
        "build.run[1]: pip install secret-sauce",
        "build.cuda: 12.1",
        "image",
        "train",
        "weights",
        "tests",
        "surprise",
        "concurrency.default_target",
        "environment: TOKEN",
        "files that callers send as addresses, or that are large",
        "README.md",
        "src/predict.py:5 current_scope of cog",
        "src/predict.py:6 emit_metric of cog.server.scope",
        "src/predict.py:12 pget",
        "src/predict.py:13 from_pretrained",
        "src/predict.py:15 load_state_dict_from_url",
    }
    assert all(item.why and item.instead for item in found.values())


def test_what_a_laden_project_keeps():
    """Packages with their versions, Debian's by name, the GPU, environment and concurrency."""
    proposal = propose(LADEN)
    assert proposal.kit["runtime"]["base"]["packages"] == ["libgl1", "ffmpeg", "libsm6"]
    assert proposal.kit["runtime"]["requirements"] == ["torch==2.4.0", "numpy<3,>=1.26"]
    assert proposal.kit["hardware"]["gpu"] == "required"
    assert proposal.kit["runtime"]["settings"]["concurrency"] == 4
    assert proposal.kit["model"]["name"] == "laden"
    handler = proposal.files["mealkit_handler.py"]
    assert '{"HF_HOME": "/src/cache"}' in handler
    assert '"src/predict.py", "Predictor"' in handler
    assert "src/train.py" in proposal.kit["runtime"]["code"]


def test_what_a_runner_of_newer_versions_uses_is_taken_over_or_told():
    """Its decorators; the metrics that it records, and its own check of its health."""
    runner = STREAMED["run.py"].replace("max=1", "max=3")
    runner += "\n    def healthcheck(self) -> bool:\n        return True\n"
    proposal = propose({**STREAMED, "run.py": runner})
    assert proposal.kit["runtime"]["settings"]["concurrency"] == 3
    assert [item.what for item in proposal.left_out] == [
        "run.py:3 current_scope of cog",
        "run.py:18 record_metric",
        "run.py:38 healthcheck",
    ]
    config = STREAMED["cog.yaml"] + "concurrency: {max: 2}\n"
    stated = propose({**STREAMED, "run.py": runner, "cog.yaml": config})
    assert stated.kit["runtime"]["settings"]["concurrency"] == 2
    assert propose(PIECES).left_out == propose(GREETING).left_out == []


def test_paths_in_the_folder_of_cogs_images_are_told():
    """A kit has no such folder; in the predictor and in what it imports."""
    predictor = """\
from cog import BasePredictor
import lib


class Predictor(BasePredictor):
    def predict(self, name: str) -> str:
        return open(f"/src/{name}").read() + "/srcs" + "a/src/"
"""
    files = {"predict.py": predictor, "lib.py": "import sys\n\nsys.path.append('/src')\n"}
    found = left_out({**GREETING, **files})
    assert list(found) == ["predict.py:7 /src/", "lib.py:3 /src"]
    assert "relative" in found["lib.py:3 /src"].instead


def test_a_record_may_have_a_list_as_its_default(tmp_path, monkeypatch):
    """As in older versions of Cog; each record has its own, also those of a derived class."""
    write_project(tmp_path, {"own_cog.py": propose(GREETING).files["cog.py"]})
    monkeypatch.syspath_prepend(tmp_path)
    base = importlib.import_module("own_cog").BaseModel

    class Output(base):
        files: list[str] = []  # noqa: RUF012  what is tested

    class More(Output):
        pass

    for kind in (Output, More):
        made = kind()
        made.files.append("a.png")
        assert (made.files, kind().files, kind(["b"]).files) == (["a.png"], [], ["b"])


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(("Predictor",), "Predictor"), (("Predictor", "Runner"), "Runner"), (("Other",), None)],
)
def test_without_a_class_it_is_cogs_usual_one(classes, expected):
    """A runner comes first."""
    source = "".join(
        f"class {name}:\n    def run(self) -> str:\n        return ''\n" for name in classes
    )
    files = {"cog.yaml": "run: run.py\n", "run.py": source}
    if expected is None:
        with pytest.raises(MealkitError, match="has no class Predictor"):
            propose(files)
    else:
        assert f'"run.py", "{expected}"' in propose(files).files["mealkit_handler.py"]


def test_weights_are_named_where_they_lie():
    """Those that load without running code; of the others it is told why not."""
    proposal = propose(WEIGHTED)
    (weights,) = proposal.kit["model"]["weights"]
    assert weights == {
        "source": "folder",
        "path": "/projects/soup",
        "files": ["picture.png", "weights/model.safetensors"],
    }
    found = left_out(WEIGHTED)
    assert "pickle" in found["weights/old.pth"].why
    assert "picture.png" not in found
    assert "words.json" in proposal.kit["runtime"]["code"]


@pytest.mark.parametrize(
    ("written", "python", "suite"),
    [("'3.11'", "3.11", "bookworm"), ("3.11.4", "3.11", "bookworm"), ("3.13", "3.13", "trixie")],
)
def test_a_python_that_debian_has_is_kept(written, python, suite):
    """Quoted or not, with its patch or without."""
    config = f"build: {{python_version: {written}}}\npredict: predict.py:Predictor\n"
    proposal = propose({**GREETING, "cog.yaml": config})
    runtime = proposal.kit["runtime"]
    assert (runtime["python"], runtime["base"]["suite"]) == (python, suite)
    assert proposal.left_out == []


@pytest.mark.parametrize(
    ("files", "method", "class_name"),
    [(FILES, "predict", "Predictor"), (PIECES, "predict", "Predictor"), (LATER, "run", "Runner")],
)
def test_predictors_and_runners(files, method, class_name):
    """Each by its own method."""
    handler = propose(files).files["mealkit_handler.py"]
    assert f'METHOD = "{method}"' in handler
    assert f'"{class_name}"' in handler


@pytest.mark.parametrize(
    ("predictor", "helper"),
    [
        ("from base import Base\nclass Predictor(Base): pass\n", "Base"),
        ("import base\nclass Own(base.Base): pass\nclass Predictor(Own): pass\n", "Base"),
        ("from base import Real as Predictor\n", "Real"),
        ("from base import Predictor\n", "Predictor"),
    ],
)
def test_a_predictor_may_be_inherited_or_imported(predictor, helper):
    """From another file of the project."""
    base = f"""from cog import BasePredictor, Path
class {helper}(BasePredictor):
    def predict(self, picture: Path) -> str:
        \"\"\"Describe a picture.\"\"\"
        return ""
"""
    proposal = propose({**GREETING, "predict.py": predictor, "base.py": base})
    assert 'METHOD = "predict"' in proposal.files["mealkit_handler.py"]
    assert proposal.kit["description"] == "Describe a picture."
    assert proposal.kit["serving"]["max_body"] == "64MiB"


def test_a_predictor_that_windows_wrote():
    """A byte order mark and CRLF are Python."""
    text = "\ufeff" + GREETING["predict.py"].replace("\n", "\r\n")
    assert propose({**GREETING, "predict.py": text}).left_out == []


def test_a_project_in_utf_16():
    """Its cog.yaml is read as YAML allows, and its requirements as pip does; neither is a weight."""
    config = GREETING["cog.yaml"] + "\n"
    files = {name: text for name, text in GREETING.items() if name != "cog.yaml"}
    wide = {"cog.yaml": config, "requirements.txt": "six\n"}
    binary = {name: text.encode("utf-16") for name, text in wide.items()}
    proposal = propose({**files, **binary}, wide=wide)
    assert proposal.kit["runtime"]["python"] == propose(GREETING).kit["runtime"]["python"]
    assert proposal.kit["model"]["weights"] == []
    assert proposal.left_out == []


def test_a_predictor_in_another_encoding():
    """It exists, and the message says what is wrong with it."""
    files = {name: text for name, text in GREETING.items() if name != "predict.py"}
    with pytest.raises(MealkitError, match=r"predict\.py, which is not UTF-8 text"):
        propose({**files, "predict.py": "# ü\n".encode("latin-1")})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("build: {made_up: 1, gpu: true}\n", ["build.made_up"]),
        ("build: {system_packages: ffmpeg}\n", ["build.system_packages"]),
        ("environment: {A: b}\n", ["environment"]),
        ("build: {system_packages: ['ffmpeg=7:4.2']}\n", ["build.system_packages: ffmpeg=7:4.2"]),
    ],
)
def test_fields_that_are_not_read_are_listed(config, expected):
    """Unknown ones, and those of another type; a package stays without its version."""
    proposal = propose({**GREETING, "cog.yaml": f"predict: predict.py:Predictor\n{config}"})
    assert [item.what for item in proposal.left_out] == expected
    packages = proposal.kit["runtime"]["base"].get("packages")
    assert packages == (["ffmpeg"] if ":4.2" in config else None)


@pytest.mark.parametrize(
    ("changes", "said", "where"),
    [
        ({"cog.yaml": "build: {}\n"}, "names no predictor", "cog.yaml"),
        ({"cog.yaml": "predict: [x]\n"}, "names no predictor", "cog.yaml"),
        (
            {"cog.yaml": "predict: other.py:Predictor\n"},
            "other.py, which does not exist",
            "cog.yaml",
        ),
        ({"cog.yaml": "a: [\n"}, "not YAML", "cog.yaml:2:1"),
        ({"cog.yaml": "text"}, "no fields", "cog.yaml"),
        ({"predict.py": "class Other: pass\n"}, "no class Predictor", "predict.py"),
        ({"predict.py": "def Predictor(): pass\n"}, "is a function", "predict.py"),
        ({"predict.py": "\nclass Predictor: pass\n"}, "no method predict", "predict.py:2"),
        ({"predict.py": "x = 1\nclass\n"}, "is not Python", "predict.py:2"),
    ],
)
def test_a_project_that_cannot_become_a_kit_is_refused(changes, said, where):
    """With its file, and the line where there is one."""
    with pytest.raises(MealkitError, match=said) as caught:
        propose({**GREETING, **changes})
    assert caught.value.problems[0].code == "USAGE"
    assert caught.value.problems[0].where == where


def test_a_folder_without_cog_yaml_is_refused():
    """By its name."""
    with pytest.raises(MealkitError, match=r"/projects/soup has no cog\.yaml"):
        propose({"predict.py": ""})


def test_the_files_of_a_proposal():
    """kit.yaml is YAML with the same fields; README.md lists what was left out, in a table."""
    files = proposal_files(propose(LADEN), "laden")
    form = yaml.safe_load(files["kit.yaml"])
    assert (form["apiVersion"], form["name"]) == ("mealkit/v1", "laden")
    assert form["runtime"]["requirements"] == ["torch==2.4.0", "numpy<3,>=1.26"]
    assert json.dumps(form)
    rows = [line for line in str(files["README.md"]).splitlines() if line.startswith("| `")]
    assert len(rows) == 25
    assert all(line.count(" | ") == 2 for line in rows)


def test_secrets_are_left_out_without_their_values():
    """Of the environment by name or value, of the code by name or content, of commands."""
    config = (
        "predict: predict.py:Predictor\n"
        "environment: [SERVICE_API_KEY=placeholder-key-0123, HF_HOME=/src/cache,"
        " 'DSN=postgres://me:placeholder-pw@db/x']\n"
        "build:\n"
        "  run: ['curl -H API_TOKEN=placeholder-key-0123 https://me:placeholder-pw@host/x']\n"
        "  environment: [OTHER_KEY=placeholder-key-0123]\n"
        "  python_requirements: requirements.txt\n"
    )
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n"
    files = {
        **GREETING,
        "cog.yaml": config,
        "requirements.txt": "--extra-index-url https://me:placeholder-pw@pypi.example.invalid/simple\nsix\n",
        "requirements-dev.txt": "-i https://me:placeholder-pw@pypi.example.invalid/simple\n",
        "certificate.txt": key,
        "server.key": "x",
    }
    proposal = propose(files)
    left = {item.what for item in proposal.left_out}
    assert {
        "environment: SERVICE_API_KEY",
        "environment: DSN",
        "certificate.txt",
        "server.key",
    } <= left
    written = json.dumps({**proposal_files(proposal, "soup")}) + repr(proposal.left_out)
    assert "placeholder" not in written
    assert "MIIEvQ" not in written
    assert "/src/cache" in written
    assert not any("requirements" in path for path in proposal.files)
    assert not any("requirements" in path for path in proposal.kit["runtime"]["code"])


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123456789\n"


def test_a_pointer_of_git_lfs_is_neither_code_nor_weights():
    """What to do is said; a predictor that is one is refused."""
    proposal = propose({**GREETING, "weights/model.safetensors": LFS, "words.json": LFS})
    assert proposal.kit["model"]["weights"] == []
    assert proposal.kit["runtime"]["code"] == ["cog.py", "mealkit_handler.py", "predict.py"]
    left = {item.what: item.instead for item in proposal.left_out}
    assert set(left) == {"weights/model.safetensors", "words.json"}
    assert all("git lfs pull" in instead for instead in left.values())
    with pytest.raises(MealkitError, match="Git LFS pointer"):
        propose({**GREETING, "predict.py": LFS})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("skeleton/config.py", "NAME =\n"),
        ("old.py", "print 'x'\n"),
        ("queue.py", "X = 1\n"),
        ("pydantic/__init__.py", ""),
    ],
)
def test_code_that_a_check_refuses_is_left_out(path, text):
    """So the proposed kit is valid."""
    config = GREETING["cog.yaml"].replace("3.13", "3.11")
    proposal = propose({**GREETING, "cog.yaml": config, path: text})
    assert path not in proposal.kit["runtime"]["code"]
    assert path not in proposal.files
    (left,) = proposal.left_out
    assert left.what == path


def test_what_docker_ignores_is_not_in_the_kit():
    """Except the predictor; requirements are read all the same, as by Cog."""
    files = {
        **GREETING,
        "cog.yaml": GREETING["cog.yaml"] + "\n",
        "notes/a.txt": "x",
        "big.png": b"x",
        "keep.txt": "x",
    }
    proposal = propose(files, ignore="*\n!keep.txt\n")
    assert proposal.kit["runtime"]["code"] == [
        "cog.py",
        "keep.txt",
        "mealkit_handler.py",
        "predict.py",
    ]
    assert proposal.kit["model"]["weights"] == []
    (left,) = proposal.left_out
    assert left.what == "big.png, notes/a.txt"
    assert ".dockerignore" in left.why


def test_what_was_not_read_is_told():
    """Hidden files and links; a cog.yaml that links out is named so."""
    skipped = {".hydra/config.yaml": "a hidden file", "settings.py": "a link out of the project"}
    left = {item.what: item.why for item in propose(GREETING, skipped=skipped).left_out}
    assert left == {path: f"it is {why}" for path, why in skipped.items()}
    with pytest.raises(MealkitError, match=r"has no cog\.yaml: it is a link out of the project"):
        propose({"predict.py": ""}, skipped={"cog.yaml": "a link out of the project"})


def test_a_predictor_with_a_secret_is_refused():
    """A kit without it could not run, and a kit with it would give the secret to everyone."""
    token = "hf_" + "a" * 34
    text = GREETING["predict.py"] + f"\nTOKEN = '{token}'\n"
    with pytest.raises(MealkitError, match="KIT_SECRET") as caught:
        propose({**GREETING, "predict.py": text})
    assert token not in str(caught.value)


def test_downloads_in_imported_modules_are_told():
    """Through packages and relative imports; not those of modules that nothing imports."""
    files = {
        **GREETING,
        "predict.py": "from lib import setup\nimport tools.net as net\n" + GREETING["predict.py"],
        "lib/__init__.py": "",
        "lib/setup.py": "from . import weights\nimport gdown\ngdown.download('x')\n",
        "lib/weights.py": "import torch\nM = torch.hub.load('a/b', 'c')\n",
        "tools/net.py": "from urllib.request import urlretrieve as get, urlopen\nurlopen('x')\n",
        "train.py": "from huggingface_hub import snapshot_download\nsnapshot_download('a/b')\n",
    }
    assert set(left_out(files)) == {
        "lib/setup.py:3 download",
        "lib/weights.py:2 load",
        "tools/net.py:2 urlopen",
    }


@pytest.mark.parametrize(
    "annotation", ["Path", "cog.Path", "Optional[Path]", "List[File]", "'Path | None'"]
)
def test_a_predictor_that_takes_files_gets_limits_that_fit_files(annotation):
    """What callers can still not send is told."""
    text = GREETING["predict.py"].replace("name: str", f"picture: {annotation}, name: str")
    proposal = propose({**GREETING, "predict.py": text})
    assert proposal.kit["serving"]["max_body"] == "64MiB"
    assert proposal.kit["runtime"]["settings"]["max_file_bytes"] == 48 * 2**20
    (left,) = proposal.left_out
    assert "fetch_from" in left.instead


def test_texts_beyond_what_code_may_have_are_pinned_as_files():
    """A lock contains the text of all code."""
    words = {f"words/{number}.txt": "x" * 1_000_000 for number in range(6)}
    proposal = propose({**GREETING, **words})
    (weights,) = proposal.kit["model"]["weights"]
    code = proposal.kit["runtime"]["code"]
    assert sorted([*weights["files"], *(path for path in code if path in words)]) == sorted(words)
    assert sum(path in words for path in code) == 4
