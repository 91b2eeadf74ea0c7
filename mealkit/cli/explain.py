"""mealkit explain: explain a problem's code: its meaning, its owner, what to do."""

from difflib import get_close_matches
from typing import Annotated, Any

import typer

from mealkit.cli.completing import problem_codes
from mealkit.cli.options import Json
from mealkit.cli.output import print_json, print_line, table
from mealkit.errors import CATALOGUE, failure

EXAMPLES = ("mealkit explain SOURCE_DIGEST", "mealkit explain")


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            help="The problem's code, such as SOURCE_DIGEST.",
            show_default="list them all",
            autocompletion=problem_codes,
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Explain a problem's code: its meaning, its owner, what to do."""
    codes = list(CATALOGUE) if code is None else [_known(code)]
    if as_json:
        forms = [_form(item) for item in codes]
        print_json(forms if code is None else forms[0])
    elif code is None:
        rows = [(item, CATALOGUE[item].owner.value, CATALOGUE[item].meaning) for item in codes]
        for line in table(("code", "owner", "meaning"), rows, frozenset()):
            print_line(line)
    else:
        for name, value in _form(codes[0]).items():
            print_line(f"{name:<12}{value}")


def _known(code: str) -> str:
    wanted = code.upper().replace("-", "_")
    if wanted in CATALOGUE:
        return wanted
    near = get_close_matches(wanted, CATALOGUE, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "mealkit explain lists all codes"
    raise failure("USAGE", f"there is no code {code!r}", hint=hint)


def _form(code: str) -> dict[str, Any]:
    entry = CATALOGUE[code]
    return {
        "code": code,
        "meaning": entry.meaning,
        "owner": entry.owner.value,
        "who": entry.owner.who,
        "fix": entry.fix,
        "exitCode": entry.error.exit_code,
        "httpStatus": entry.http_status,
    }
