"""vLLM's own definitions, as read from its wheel: a parser of its flags, and what it says."""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "definitions"
VERSIONS = sorted(path.stem for path in _FOLDER.glob("*.json"))


def definitions_of(version: str) -> Mapping[str, Any]:
    """Return what was read from a version's wheel."""
    found: Mapping[str, Any] = json.loads((_FOLDER / f"{version}.json").read_text())
    return found


DEFINITIONS = definitions_of(VERSIONS[-1])


def make_parser(definitions: Mapping[str, Any] = DEFINITIONS) -> argparse.ArgumentParser:
    """Make a parser of ``vllm serve`` that knows exactly the recorded flags and values."""
    made = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False, exit_on_error=False)
    made.add_argument("model_tag", nargs="?")
    open_choices = {
        "--tool-call-parser": definitions["tool_parsers"],
        "--attention-backend": definitions["attention_backends"],
    }
    for name, flag in definitions["flags"].items():
        if name.startswith("--"):
            known = {"choices": open_choices[name]} if name in open_choices else {}
            made.add_argument(name, **_rules({**flag, **known}))
    return made


def said(key: str, *values: object) -> str:
    """Return one of vLLM's messages with values in its places."""
    rest = iter(values)
    return re.sub(r"\{[^{}]*\}|%s", lambda _: str(next(rest)), DEFINITIONS["messages"][key])


def _rules(flag: Mapping[str, Any]) -> dict[str, Any]:
    match flag["kind"]:
        case "switch":
            return {"action": argparse.BooleanOptionalAction}
        case "on":
            return {"action": "store_true"}
        case "integer":
            return {"type": int}
        case "number":
            return {"type": float}
        case "json":
            return {"type": json.loads}
        case "list":
            return {"nargs": "+"}
        case _:
            # "text" with choices is open to plugins; a kit's engine has none.
            return {"choices": flag["choices"]} if "choices" in flag else {}
