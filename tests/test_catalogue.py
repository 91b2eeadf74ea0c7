"""The catalogue is whole: what can go wrong has an entry, and every entry can go wrong.

The program's own source is read for the codes that it can emit, and its own command line for the
verbs and options that the fixes may name.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import mealkit
from mealkit.cli.program import app
from mealkit.errors import CATALOGUE, Owner, problem, problem_of_json
from mealkit.runtime.watch.metrics import Metrics
from reference_pages.pages import pages

PACKAGE = Path(mealkit.__file__).parent

# Calls that take a code: as which argument; or as ``code``.
EMITTERS = {"failure": 0, "problem": 0, "Problem": 0, "Finding": 0, "rule": 1}

# Where that argument is no constant: what it can be, and why that is covered. Codes stand as
# constants elsewhere in the same module, where the other tests find them.
COMPUTED = {
    "containers/docker_errors.py": "the table of the daemons' texts at the top of the module",
    "containers/sandbox_plan.py": "of two codes, chosen by errno in the lines above",
    "engines/onnx/genai.py": "its callers' constants: ENGINE_START and ENGINE_ANSWER",
    "engines/transformers/torch_problems.py": "its callers' constants: ENGINE_START and ENGINE_ANSWER",
    "contract/violation.py": "its rule's own code, from the table of the checker",
    "errors.py": "hands on its caller's code; the JSON form's is looked up in the catalogue first",
    "files/whole.py": "of two codes, chosen by errno",
    "kit/document.py": "its readers' methods hand on their callers' constants",
    "kit/files.py": "its readers' methods hand on their callers' constants",
    "kit/wording.py": "the code is chosen from constants by the kind of fault",
    "clusters/kubernetes_pod_problems.py": "its callers' constants, for what a pod's end means",
    "pipeline/audit/verifying_audit_logs.py": "the fault's own code, which the reader gave it",
    "pipeline/cluster/kubernetes_nodes.py": "its callers' constants, for what a node lacks",
    "pipeline/cluster/swarm_fit.py": "its callers' constants, for what a node lacks",
    "pipeline/cluster/swarm_watch.py": "the table of Swarm's texts at the top of the module",
    "pipeline/configuration.py": "SETTINGS_INVALID, instead of the code that a kit's reader gave",
    "pipeline/machine/preflighting.py": "the first misfit's own code, which a check gave it",
    "pipeline/run/operations_file.py": "SETTINGS_INVALID, instead of the code that a kit's reader gave",
    "pipeline/run/readiness.py": "of two codes, chosen by how a container ended",
    "trust/rule_results.py": "the result's own code, which its rule gave it",
    "preflight/finding.py": "the finding's own code, which a check gave it",
    "sources/model_artifact.py": "the code of a source for that of a registry, from the table at its top",
    "engines/python/faults.py": "by the status that a refusal states, from the table at its top",
    "runtime/attribution.py": "its callers' constants: ENGINE_START, ENGINE_DIED and ENGINE_ANSWER",
    "runtime/life/launch.py": "of two codes, chosen by errno in the lines above",
    "evidence/recognition.py": "the rule's own code, from the tables of messages",
    "runtime/life/supervise.py": "its callers' constants: ENGINE_START and ENGINE_DIED",
    "sources/source.py": "its callers' constants: SOURCE_ANSWER and WHEEL_INVALID",
}

# Constants that look like codes of ours and are none: names of environment variables and the like.
FAMILIES = sorted({code.partition("_")[0] for code in CATALOGUE if "_" in code})
LOOKS_LIKE_A_CODE = re.compile(rf"({'|'.join(FAMILIES)})_[A-Z0-9]+(_[A-Z0-9]+)*")
NO_CODES = {
    "CONTAINER_HOST": "the variable that names podman's socket",
    "REGISTRY_AUTH_FILE": "the variable that names a file of credentials",
    "SOURCE_DATE_EPOCH": "the variable of reproducible builds",
    "REQUEST_ID": "a mark in the form of the front's own answers",
    "POD_NAMESPACE": "the variable with the namespace of a Pod of Kubernetes",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text("utf-8"))


def emissions() -> Iterator[tuple[str, ast.expr]]:
    """Every expression that stands where a code is emitted, with its module."""
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in EMITTERS:
                named = [item.value for item in node.keywords if item.arg == "code"]
                place = EMITTERS[_called(node)]
                given = [*node.args[place : place + 1], *named]
                yield from ((name, argument) for argument in given[:1])


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def constants_of(expression: ast.expr) -> list[str] | None:
    """The codes that an expression can be: one, or one of two; None if it is computed."""
    match expression:
        case ast.Constant(value=str(code)):
            return [code]
        case ast.IfExp(body=one, orelse=other):
            both = [constants_of(one), constants_of(other)]
            return None if None in both else [code for codes in both for code in codes or ()]
        case _:
            return None


def texts(tree: ast.Module) -> Iterator[str]:
    """Constant texts of a module, without docstrings, what is compared, and keys of tables."""
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                passed_over |= {id(item) for item in ast.walk(node)}
            case ast.Dict(keys=keys):
                passed_over |= {id(key) for key in keys}
            case ast.Expr(value=ast.Constant() as docstring):
                passed_over.add(id(docstring))
            case _:
                pass
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in passed_over:
                yield text
            case _:
                pass


def test_every_code_that_is_emitted_is_in_the_catalogue():
    """A misspelt code would be a KeyError instead of a problem."""
    unknown = {
        (name, code)
        for name, argument in emissions()
        for code in constants_of(argument) or ()
        if code not in CATALOGUE
    }
    assert unknown == set()


def test_what_looks_like_a_code_is_one():
    """Codes in tables, and codes that wait in variables, too."""
    strangers = {
        (name, text)
        for name, tree in modules()
        for text in texts(tree)
        if LOOKS_LIKE_A_CODE.fullmatch(text) and text not in CATALOGUE and text not in NO_CODES
    }
    assert strangers == set()


def test_computed_codes_are_explained():
    """A code that is no constant stands in the list above, with the reason; none there is stale."""
    computed = {name for name, argument in emissions() if constants_of(argument) is None}
    assert computed == set(COMPUTED)


def test_every_entry_can_be_emitted():
    """An entry that nothing emits is a promise about nothing."""
    emitted = {
        text for name, tree in modules() if name != "errors.py" for text in texts(tree)
    } & set(CATALOGUE)
    assert set(CATALOGUE) - emitted == set()


@pytest.mark.parametrize("code", CATALOGUE)
def test_entry_says_what_it_must(code):
    """Meaning, owner, class of exit code, HTTP status, and a fix: a command or an edit."""
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)*", code)
    for text in (entry.meaning, entry.fix):
        assert text == text.strip()
        assert not text.endswith(".")
    assert entry.meaning[0].islower() or entry.meaning.startswith(("Python", "Debian", "GPU"))
    assert entry.fix[0].islower()
    assert entry.owner in Owner
    assert entry.owner.who
    # As click's own refusals of a command line.
    assert (entry.error.exit_code == 2) == (code == "USAGE")
    assert entry.error.exit_code != 0
    assert 400 <= entry.http_status < 600


def test_classes_of_errors_have_codes_of_their_own():
    """One class, one exit code."""
    classes = {entry.error for entry in CATALOGUE.values()}
    assert len({item.exit_code for item in classes}) == len(classes)


def command_line() -> dict[str, set[str]]:
    """The options of every verb of the program, and those before the verb.

    A verb of two words, such as ``catalog add``, counts with the others of its group.
    """
    group = get_command(app)
    own = {option for item in group.params for option in item.opts}
    return {
        name: own
        | {
            option
            for part in (verb, *getattr(verb, "commands", {}).values())
            for item in part.params
            for option in item.opts
        }
        for name, verb in group.commands.items()
    }


def fixes() -> Iterator[tuple[str, str]]:
    """The hints of the catalogue, and the constant ones of the program."""
    yield from ((code, entry.fix) for code, entry in CATALOGUE.items())
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in {"hint", "fix"}:
                parts = [item for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
                yield from ((name, item.value) for item in parts if isinstance(item.value, str))


# Commands of other programs, whose options are not ours to check.
_FOREIGN = re.compile(
    r"\b(docker|podman|kubectl|pip|nvidia-ctk|nvidia-smi|hf|timedatectl)\b[^,;)]*"
)
_VERB = re.compile(r"(?<![/\w])mealkit (?!takes|as|built)([a-z]+)([^,;:()]*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def test_fixes_name_what_the_command_line_has():
    """A hint that cannot be typed is none."""
    verbs = command_line()
    options = {option for known in verbs.values() for option in known}
    options.add("--help")
    wrong = []
    for place, fix in fixes():
        ours = _FOREIGN.sub("", fix)
        for verb, rest in _VERB.findall(ours):
            named = set(_OPTION.findall(rest))
            if verb not in verbs or not named <= verbs.get(verb, options):
                wrong.append((place, fix))
        if not set(_OPTION.findall(ours)) <= options:
            wrong.append((place, fix))
    assert wrong == []


@cache
def problems_page() -> str:
    """Return the generated page, which takes a second to make."""
    return pages()["problems.md"]


@pytest.mark.parametrize("code", CATALOGUE)
def test_explain_shows_all_of_an_entry(code):
    """And the generated page has it too."""
    entry = CATALOGUE[code]
    shown = CliRunner().invoke(app, ["explain", code]).stdout
    numbers = (str(entry.error.exit_code), str(entry.http_status))
    for text in (code, entry.meaning, entry.owner.value, entry.owner.who, entry.fix, *numbers):
        assert text in shown
    assert f"| `{code}` |" in problems_page()


def test_unknown_codes_are_answered_with_the_nearest():
    """Whatever its case, and several of them."""
    result = CliRunner().invoke(app, ["explain", "host-driver-od"])
    assert result.exit_code == 2
    assert "did you mean HOST_DRIVER_OLD or" in result.stderr
    assert "lists all codes" in CliRunner().invoke(app, ["explain", "zzz"]).stderr


def test_every_code_is_counted_with_its_owner():
    """The label of the counter is the catalogue's."""
    metrics = Metrics("m")
    for code in CATALOGUE:
        metrics.failed(problem(code, "something"))
    text = metrics.text().decode()
    for code, entry in CATALOGUE.items():
        line = f'mealkit_failures_total{{code="{code}",owner="{entry.owner.value}"}} 1.0'
        assert line in text.splitlines()


def test_a_problem_survives_its_json():
    """But for the owner, which only the catalogue decides."""
    made = problem("FIT_VRAM", "too little", where="GPU 0", measured="1 GiB", required="2 GiB")
    assert problem_of_json(made.as_json()) == made
    assert problem_of_json({**made.as_json(), "owner": "caller"}) == made
    for broken in (None, [], "FIT_VRAM", {"code": "FIT_VRAM"}, {"code": ["FIT_VRAM"]}):
        assert problem_of_json(broken) is None
    assert problem_of_json({"code": "NEVER_HEARD_OF", "message": "x"}) is None


def test_numbers_stand_side_by_side():
    """In the one line that a log or an exception shows."""
    made = problem("HOST_SHM", "shm is small\ntail", measured="64 MiB", required="1 GiB")
    assert made.sentence == "shm is small: measured 64 MiB, required 1 GiB\ntail"
    assert problem("USAGE", "wrong").sentence == "wrong"
