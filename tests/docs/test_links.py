"""The documentation against the repository: links, commands, environment variables, and what must not be in it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from mealkit.cli.program import app
from mealkit.deploy.prometheus_rules import runbooks_page

ROOT = Path(__file__).parents[2]

# Reference pages are compared with the code by `make check`; here they are only link targets.
GENERATED = "docs/reference/"

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)|!\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
COMMAND = re.compile(r"\bmealkit +((?:-[-\w]+ +)*)([a-z][a-z-]*)([^`|\n&;)]*)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-[a-zA-Z])(?![\w-])")
VARIABLE = re.compile(r"(?<!_)\bMEALKIT_[A-Z][A-Z_]*[A-Z]\b")


def tracked(*patterns: str) -> list[Path]:
    """Return the repository's files: those of git, new ones too, or in an unpacked sdist all."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        found = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        found = [path for pattern in patterns or ["*"] for path in ROOT.rglob(pattern)]
    return sorted(path for path in found if path.is_file())


PAGES = tracked("*.md")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    found: dict[str, int] = {}
    result = set()
    for title in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page):
    """Relative links name files that are there, and anchors name their headings."""
    lost = []
    for first, second in LINK.findall(prose(page)):
        link = first or second
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def test_every_page_can_be_reached():
    """From README.md one gets to every page of docs/ by links."""
    reached: set[Path] = set()
    left = [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached:
            continue
        reached.add(page)
        links = [first or second for first, second in LINK.findall(prose(page))]
        targets = [
            (page.parent / link.partition("#")[0]).resolve() for link in links if ":" not in link
        ]
        left += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert not {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached


def verbs() -> dict[str, set[str]]:
    """Return the options of every verb, as the command line knows them; "" has the program's own.

    A verb of several words, such as ``catalog add``, counts with the others of its group.
    """
    program = typer.main.get_command(app)
    groups = {name: getattr(found, "commands", {}) for name, found in program.commands.items()}
    commands = {"": [program]} | {
        name: [found, *groups[name].values()] for name, found in program.commands.items()
    }
    return {
        name: {
            text
            for command in found
            for item in command.params
            for text in (*item.opts, *item.secondary_opts)
        }
        | {"--help", "-h"}
        for name, found in commands.items()
    }


def commands(page: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the commands in code: verb, options before it, options behind it."""
    text = page.read_text()
    spans = [match[0] for match in FENCE.finditer(text)]
    spans += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    for span in spans:
        for line in span.replace("\\\n", " ").splitlines():
            started = re.match(r"^\s*(?:\$ )?(?:\w+=\S+ )*(mealkit .*)$", line)
            if started:
                code = started[1].partition("  #")[0]
                for before, verb, behind in COMMAND.findall(code)[:1]:
                    yield verb, before.split(), OPTION.findall(behind)


WRITTEN = [(page, name) for page, name in zip(PAGES, NAMES, strict=True) if GENERATED not in name]


@pytest.mark.parametrize("page", [page for page, _ in WRITTEN], ids=[name for _, name in WRITTEN])
def test_every_command_exists(page):
    """A verb and its options that stand in a page are those that the command line has."""
    known = verbs()
    for verb, before, behind in commands(page):
        assert verb in known, f"mealkit {verb}"
        assert set(before) <= known[""], f"mealkit {' '.join(before)} {verb}"
        assert set(behind) <= known[verb], f"mealkit {verb} {' '.join(behind)}"


def test_every_command_of_the_runbooks_exists(tmp_path):
    """What mealkit dashboard tells the person who gets an alert to type."""
    page = tmp_path / "runbooks.md"
    page.write_text(runbooks_page())
    assert {verb for verb, _, _ in commands(page)} >= {"status", "rollback", "deploy", "explain"}
    test_every_command_exists(page)


def test_commands_are_found_at_all():
    """The test above looks at something: the tutorial alone has a dozen commands."""
    found = [verb for verb, _, _ in commands(ROOT / "docs/tutorial/first-kit.md")]
    assert {"new", "check", "lock", "build", "run", "diff", "ps", "stop", "explain"} <= set(found)


def variables(*patterns: str) -> set[str]:
    files = [path for path in tracked(*patterns) if path != Path(__file__)]
    return {name for path in files for name in VARIABLE.findall(path.read_text())}


def test_environment_variables_are_those_of_the_code():
    """Every MEALKIT_ variable in a page is in the code, and the other way round."""
    code = variables("mealkit/*.py", "tests/*.py", "benchmarks/*.py")
    assert variables("*.md") == code


def test_the_table_of_variables_is_complete():
    """docs/architecture.md has every variable that the package reads."""
    page = (ROOT / "docs/architecture.md").read_text()
    assert variables("mealkit/*.py") <= set(re.findall(r"`(MEALKIT_\w+)`", page))


# In pieces, so that this file does not hold them itself.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("snapshot", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("download", "pytorch", "org"),
        ("conda", "anaconda", "org"),
    )
]
# "/proc/$$/root" is the root of a process's container.
MACHINE_PATHS = re.compile(r"(?<![\w./{}$])/(?:work|root|opt/pypi[\w-]*|opt/wheels|home/[a-z]+)/")


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            yield path.relative_to(ROOT).as_posix(), data.decode(errors="replace")


def test_no_file_names_an_index_or_a_path_of_one_machine():
    """The repository says where nobody's packages come from, and nothing of who wrote it where."""
    found = []
    for name, text in texts():
        found += [f"{name}: {host}" for host in INDEX_HOSTS if host in text]
        found += [f"{name}: {match}" for match in MACHINE_PATHS.findall(text)]
    assert not found


def test_the_picture_can_be_read():
    """It is well-formed, scales, and says in words what it shows."""
    text = (ROOT / "docs/images/flow.svg").read_text()
    for part in ("<title", "<desc", "viewBox", 'role="img"'):
        assert part in text
    assert text.count("<g") == text.count("</g>")
