"""docs/how-to/add-an-engine.md carried out: one folder and one line make an engine, both ways."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from worker.generation.scripted import config, sampling

import mealkit
from mealkit.worker.generation.generator import Generator
from mealkit.worker.generation_values import CompletionInput, Written

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/how-to/add-an-engine.md"
PARTS = {
    "engine.py": "RECIPE = Recipe(\n    name=",
    "memory.py": "MEMORY = ",
    "traits.py": "TRAITS = ",
    "worker.py": "class WordbagWorker",
}
OWN, OUTSIDE = ("wordbag", "mealkit.engines.wordbag"), ("wordbag-ext", "wordbag_engine")


def block(word: str, language: str = "python") -> str:
    """The one block of the page that has a word."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (one,) = (text for text in found if word in text)
    return one


def write_engine(library: Path, name: str, package: str) -> None:
    """Write the engine's folder, as the page shows it, for a name and a package."""
    folder = library.joinpath(*package.split("."))
    (folder / "new").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for file, word in PARTS.items():
        text = block(word).replace("mealkit.engines.wordbag", package)
        (folder / file).write_text(text.replace('"wordbag"', f'"{name}"'))
    kit = block("apiVersion", "yaml").replace("engine: wordbag", f"engine: {name}")
    (folder / "new" / "kit.yaml.jinja").write_text(kit)


@pytest.fixture(scope="module", params=[OWN, OUTSIDE], ids=["in mealkit", "outside"])
def engine(request, tmp_path_factory) -> tuple[str, str, Path]:
    """The engine's name, its package, and a folder with mealkit as it is with that engine."""
    name, package = request.param
    library = tmp_path_factory.mktemp("library")
    shutil.copytree(Path(mealkit.__file__).parent, library / "mealkit")
    if not (library / "mealkit" / "_templates").exists():
        shutil.copytree(TESTS.parent / "templates", library / "templates")
    write_engine(library, name, package)
    if package.startswith("mealkit."):
        registry = library / "mealkit" / "engines" / "registry.py"
        line = block("_OWN = ").strip()
        text, count = re.subn(r"^_OWN = .*$", line, registry.read_text(), flags=re.MULTILINE)
        assert count == 1
        registry.write_text(text)
    else:
        about = library / "wordbag_engine-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: wordbag-engine\nVersion: 1.0\n"
        )
        heading, line = block("entry-points", "toml").strip().splitlines()
        written = line.replace('"', "")
        assert heading == '[project.entry-points."mealkit.engines"]'
        (about / "entry_points.txt").write_text(f"[mealkit.engines]\n{written}\n")
    return name, package, library


def python(library: Path, *arguments: str | Path) -> str:
    """Run Python with the copy of mealkit before any other; return what it prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (library, TESTS))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MEALKIT_HOME": str(library / "home"),
    }
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=library, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kit(engine, tmp_path_factory) -> Path:
    """The kit that ``mealkit new`` writes, with the page's vocabulary."""
    name, _, library = engine
    folder = tmp_path_factory.mktemp("kits") / "bag"
    python(library, "-m", "mealkit", "new", folder, "--engine", name)
    (folder / "words").mkdir()
    words = json.dumps(["kitchen", "salt", "pepper"])
    (folder / "words" / "vocabulary.json").write_text(words)
    return folder


def test_its_kit_is_checked(engine, kit):
    """The new kit is valid; a setting that the engine does not have is refused by its line."""
    _, _, library = engine
    python(library, "-m", "mealkit", "check", kit)
    text = (kit / "kit.yaml").read_text()
    wrong = kit.with_name("wrong")
    shutil.copytree(kit, wrong)
    (wrong / "kit.yaml").write_text(text.replace("engine: ", "settings: {words: 3}\n  engine: "))
    with pytest.raises(
        AssertionError, match=r"settings\.words does not exist\n +where .*kit\.yaml:\d+"
    ):
        python(library, "-m", "mealkit", "check", wrong)


LOCK = """
import json, sys
from pathlib import Path
from fakes.kits import FixedInputs
from mealkit.lock.resolve import resolve
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import open_kit
lock = resolve(open_kit(Path(sys.argv[1]), Home(Path(sys.argv[1]))).parts, FixedInputs())
print(json.dumps({"engine": lock.engine.model_dump(mode="json"),
                  "requirements": lock.requirements.model_dump(mode="json")}))
"""


def test_its_kit_is_locked(engine, kit):
    """The lock has the worker, every flag in full, and what decides about memory."""
    name, package, library = engine
    lock = json.loads(python(library, "-c", LOCK, kit))
    assert lock["engine"]["worker"] == f"{package}.worker:WordbagWorker"
    assert lock["engine"]["settings"] == {"vocabulary": "vocabulary.json", "longest_text": 100_000}
    demand = lock["requirements"]["demand"]
    assert (demand["engine"], demand["context_tokens"]) == (name, 100_000)


def test_its_memory_is_estimated(engine, tmp_path):
    """By its own formula, of a model that is named on the command line."""
    name, _, library = engine
    tensors = {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    head = json.dumps(tensors).encode()
    model = struct.pack("<Q", len(head)) + head + bytes(16)
    (tmp_path / "model.safetensors").write_bytes(model)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    asked = ("estimate", tmp_path, "--engine", name, "--context", "1000", "--json")
    found = json.loads(python(library, "-m", "mealkit", *asked))
    terms = {item["name"]: item for item in found["estimate"]["phases"][0]["terms"]}
    assert found["engine"] == name
    assert terms["vocabulary"]["likely_bytes"] == 16
    assert terms["texts"]["likely_bytes"] == 64_000
    assert found["gpus_known"] == []


SHIPPED = """
import json, sys
from mealkit.assembly.shipped import shipped_library
from mealkit.engines.registry import traits_of
from mealkit.runtime.engine_traits import traits_of as traits_inside
name = sys.argv[1]
print(json.dumps({
    "files": sorted(path for path in shipped_library(name) if "/wordbag" in path),
    "built": traits_of(name).runs_kit_code,
    "inside": traits_inside(name).runs_kit_code,
}))
"""


def test_what_ships_of_it_follows_from_its_folder(engine):
    """All but the build half; of an engine outside mealkit nothing, and it is trusted with nothing."""
    name, package, library = engine
    found = json.loads(python(library, "-c", SHIPPED, name))
    is_own = package.startswith("mealkit.")
    files = ("__init__.py", "memory.py", "traits.py", "worker.py")
    expected = [f"mealkit/engines/wordbag/{file}" for file in files] if is_own else []
    assert (found["files"], found["built"], found["inside"]) == (expected, False, not is_own)


WORK = """
import importlib, json, struct, sys
from pathlib import Path
from mealkit.worker.interface import EmbeddingWorker, WorkerConfig
package, root = sys.argv[1], Path(sys.argv[2])
worker = importlib.import_module(f"{package}.worker").WordbagWorker()
assert isinstance(worker, EmbeddingWorker)
settings = {"vocabulary": "vocabulary.json", "longest_text": 1000}
worker.load(WorkerConfig("bag", root, "embeddings", {"lower": True}, settings, root))
found = worker.embed(["Salt and pepper"], lambda: False)
foreign = {name.partition(".")[0] for name in sys.modules} & {"pydantic", "yaml", "starlette"}
print(json.dumps([struct.unpack("<4f", found.vectors[0]), found.token_counts, sorted(foreign)]))
"""


def test_its_worker_answers_as_the_page_says(engine, kit):
    """`Salt and pepper` has one salt, one pepper and three words; no package is imported."""
    _, package, library = engine
    vector, counts, foreign = json.loads(python(library, "-c", WORK, package, kit / "words"))
    assert (vector, counts, foreign) == ([0, 1, 1, 3], [3], [])


def test_the_model_of_bytes_writes_text():
    """Under the generator it goes on with what followed most often, and stops at a line's end."""
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(block("class Bigrams"), f"{PAGE.name}: Bigrams", "exec"), names)  # noqa: S102
    model = names["Bigrams"]

    def written(text, prompt):
        request = CompletionInput(prompt, sampling(max_tokens=13, temperature=0.0), 1, None)
        events = Generator(model(text), config(chat_template="none")).complete(request, bool)
        return "".join(event.text for event in events if isinstance(event, Written))

    assert written(b"salt and pepper and sugar", "sal") == "t and and and"
    assert written(b"salt\n", "s") == "alt"
