"""The reference pages, written from the code: ``python -m reference_pages FOLDER [--check]``.

With ``--check`` it writes nothing, and fails with the names of the stale pages if there are any.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from typer.testing import CliRunner

from mealkit.cli.program import app, verb_names
from mealkit.deploy.deployment_file import deployment_schema
from mealkit.engines.whole_schema import full_schema
from mealkit.errors import CATALOGUE, Entry, MealkitError, Owner
from mealkit.trust.policy import policy_schema
from reference_pages.api_page import api_page
from reference_pages.deploy_page import deploy_page
from reference_pages.kit_page import kit_page
from reference_pages.metrics_page import metrics_page
from reference_pages.policy_page import policy_page

_NOTE = "<!-- Written by `make docs`; edit the code instead. -->"
_WIDTH = 96


def pages() -> Mapping[str, str]:
    """Return every page of the reference, by its file's name."""
    return {
        "api.md": f"{_NOTE}\n{api_page()}",
        "cli.md": "\n".join(_cli_page()) + "\n",
        "deploy.md": f"{_NOTE}\n{deploy_page()}",
        "deploy.schema.json": json.dumps(deployment_schema(), indent=2, ensure_ascii=False) + "\n",
        "kit.md": f"{_NOTE}\n{kit_page()}",
        "metrics.md": f"{_NOTE}\n{metrics_page()}",
        "policy.md": f"{_NOTE}\n{policy_page()}",
        "policy.schema.json": json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n",
        "problems.md": "\n".join(_problems_page()) + "\n",
        "kit.schema.json": json.dumps(full_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def stale_pages(folder: Path) -> list[str]:
    """Return the names of the pages in a folder that differ from what the code writes."""
    return [
        name
        for name, text in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or only compare them."""
    folder = Path(next(item for item in arguments if item != "--check"))
    if "--check" in arguments:
        stale = stale_pages(folder)
        for name in stale:
            sys.stderr.write(f"{folder / name} is stale: make docs\n")
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _cli_page() -> Iterator[str]:
    yield from (_NOTE, "# Command line", "")
    yield (
        "Results go to stdout, everything else to stderr. With `--json`, stdout is one JSON value, "
        'and stderr is JSON lines: `{"warning": {...}}` while it works, `{"progress": {...}}` '
        'every few seconds of a long step, `{"problems": [...]}` if it fails. '
        "Colours are for terminals only; `NO_COLOR` turns them off."
    )
    yield from ("", "| exit code | meaning |", "|---|---|", "| 0 | done |")
    yield "| 1 | mealkit itself failed; the message names a log file for the report |"
    yield "| 2 | the command line was used wrongly |"
    classes = {entry.error for entry in CATALOGUE.values() if entry.error.exit_code > 2}
    for error in sorted(classes, key=lambda item: item.exit_code):
        meaning = (error.__doc__ or "").removesuffix(".")
        yield f"| {error.exit_code} | {meaning[:1].lower()}{meaning[1:]} |"
    yield "| 20 | `mealkit preflight`: whether the kit fits is uncertain |"
    yield "| 130 | the command was interrupted |"
    yield "| 141 | the reader of the output has closed it |"
    for verb in ("", *verb_names()):
        yield from ("", f"## mealkit {verb}".rstrip(), "", "```", _help(verb), "```")


def _help(verb: str) -> str:
    arguments = [*verb.split(), "--help"]
    environment = {"NO_COLOR": "1", "MEALKIT_HOME": None}
    result = CliRunner().invoke(
        app, arguments, prog_name="mealkit", env=environment, terminal_width=_WIDTH
    )
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def _problems_page() -> Iterator[str]:
    yield from (_NOTE, "# Problems", "")
    yield (
        "Every problem has a code, and every code an owner, who can solve the problem. "
        "`mealkit explain CODE` prints the same text."
    )
    yield from ("", "| owner | who it is |", "|---|---|")
    yield from (f"| {owner} | {owner.who} |" for owner in Owner)

    def error_of(item: tuple[str, Entry]) -> str:
        return f"{item[1].error.exit_code:02} {item[1].error.__name__}"

    ordered = sorted(CATALOGUE.items(), key=error_of)
    for _, group in groupby(ordered, error_of):
        entries = list(group)
        error = entries[0][1].error
        title = "mealkit itself" if error is MealkitError else str(error.__doc__).rstrip(".")
        yield from ("", f"## {title} (exit code {error.exit_code})", "")
        yield from ("| code | meaning | owner | HTTP | what to do |", "|---|---|---|---|---|")
        for code, entry in entries:
            meaning, fix = (text.replace("|", "\\|") for text in (entry.meaning, entry.fix))
            yield f"| `{code}` | {meaning} | {entry.owner} | {entry.http_status} | {fix} |"
