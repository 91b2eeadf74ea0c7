"""mealkit policy: check a policy, ask it about an image, and write it for other tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.options import Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say
from mealkit.errors import failure, failures

if TYPE_CHECKING:
    from mealkit.pipeline.policy.admitting import Decision
    from mealkit.trust.policy_file import LoadedPolicy

EXAMPLES = (
    "mealkit policy new policy.yaml",
    "mealkit policy check policy.yaml",
    "mealkit policy test registry.example.org/team/my-kit:1.0.0",
    "mealkit policy export policy.yaml --for kyverno",
    "mealkit policy export policy.yaml --for podman --output containers",
)


def policy(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    action: Annotated[
        Literal["new", "check", "test", "export"], typer.Argument(help="The action.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="new, check, export: a policy. test: an image, as for inspect."
        ),
    ],
    *,
    policy_file: Annotated[
        list[Path],
        typer.Option(
            "--policy",
            metavar="FILE",
            help="test: ask this policy; may be repeated.",
            show_default="the policies of this machine",
        ),
    ] = [],  # noqa: B006  typer copies it
    tool: Annotated[
        Literal["kyverno", "policy-controller", "podman"] | None,
        typer.Option("--for", help="export: the tool that reads the result.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="export: write files below this folder.", show_default="stdout"
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Write a policy, check it, ask it about an image, or export it.

    test prints the result of every rule, with the line of the policy, what was measured and what is
    required. If a rule refuses the image, the exit code is 13.

    export writes what other tools can check: a ClusterPolicy for Kyverno, ClusterImagePolicies for
    Sigstore's policy-controller, or policy.json and registries.d for podman, skopeo and CRI-O.
    """
    use_plain_http(plain_http)
    match action:
        case "new":
            _new(Path(target))
        case "check":
            _check(Path(target), as_json)
        case "test":
            _test(context, target, policy_file, as_json)
        case "export":
            _export(Path(target), tool, output)


def _new(path: Path) -> None:
    from mealkit.pipeline.policy.policies import write_new_policy

    write_new_policy(path)
    print_line(str(path))
    say(f"next: name your public keys in it, then: mealkit policy check {path}")


def _check(path: Path, as_json: bool) -> None:  # noqa: FBT001
    from mealkit.pipeline.policy.admitting import policy_at

    loaded = policy_at(path)
    keys = {name: key.key.fingerprint for name, key in loaded.keys.items()}
    if as_json:
        print_json({"path": str(path), "keys": keys})
        return
    print_line(f"{path} is valid")
    for name, fingerprint in keys.items():
        print_line(f"key {name}  sha256:{fingerprint}")


def _test(
    context: typer.Context,
    target: str,
    files: Sequence[Path],
    as_json: bool,  # noqa: FBT001
) -> None:
    from mealkit.pipeline.policy.admitting import named_decisions, policies_here, policy_at

    session = session_of(context)
    policies: Sequence[LoadedPolicy] = [policy_at(path) for path in files] or policies_here()
    if not policies:
        raise failure(
            "USAGE",
            "this machine has no policy",
            hint="mealkit policy new policy.yaml, then add --policy policy.yaml",
        )
    progress = session.progress(as_json=as_json)
    decisions = named_decisions(target, policies, session.home, progress)
    print_decisions(decisions, as_json=as_json)
    problems = [item for decision in decisions for item in decision.problems]
    if problems:
        raise failures(problems)


def _export(path: Path, tool: str | None, output: Path | None) -> None:
    from mealkit.pipeline.policy.exporting_policies import Tool, exported, write_exported

    if tool is None:
        hint = f"add --for {' or --for '.join(Tool)}"
        raise failure("USAGE", "the tool that reads the result is not named", hint=hint)
    files = exported(path, Tool(tool))
    if output is not None:
        for written in write_exported(files, output):
            print_line(str(written))
        return
    for name, text in files.items():
        if len(files) > 1:
            say(f"{name}:")
        for line in text.splitlines():
            print_line(line)


def print_decisions(decisions: "Sequence[Decision]", *, as_json: bool) -> None:
    """Print the result of every rule of every policy."""
    if as_json:
        print_json([_form(item) for item in decisions])
        return
    for decision in decisions:
        _describe(decision)


def _form(decision: "Decision") -> dict[str, object]:
    return {
        "policy": str(decision.policy.path),
        "digest": str(decision.facts.digest),
        "accepted": not decision.problems,
        "rules": [item.as_json() for item in decision.findings],
    }


def _describe(decision: "Decision") -> None:
    print_line(f"{decision.facts.name}  {decision.facts.digest}")
    width = max(len(item.rule) for item in decision.findings)
    for item in decision.findings:
        result = "passed " if item.passed else "refused"
        print_line(f"{result}  {item.rule.ljust(width)}  {item.where}")
        print_line(f"         {' ' * width}  measured {item.measured}")
        print_line(f"         {' ' * width}  required {item.required}")
        if not item.passed:
            print_line(f"         {' ' * width}  owner    {item.owner}")
