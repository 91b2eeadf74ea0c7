"""mealkit chat: talk to a kit that generates text."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.asking import AskedTarget, Client, Embedded, KeyFile, StartSeconds, ask_request
from mealkit.cli.options import AllowFolder, Json, session_of
from mealkit.cli.output import print_json, print_problem, print_text, say
from mealkit.errors import MealkitError, failure

if TYPE_CHECKING:
    from mealkit.pipeline.ask.conversing import Conversation
    from mealkit.pipeline.ask.kit_answers import AskedKit

EXAMPLES = (
    "mealkit chat my-chat",
    "mealkit chat my-chat 'What does join do?'",
    "mealkit chat my-chat --system 'Answer in one word.' < question.txt",
)

_END = "/bye"
_PROMPT = ">>> "


def chat(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: AskedTarget,
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE",
            help="One message, and one answer. Without it: a conversation on a terminal, else the"
            " message is standard input.",
            show_default="none",
        ),
    ] = None,
    *,
    system: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="A system message before yours.", show_default="none"),
    ] = None,
    client: Client = None,
    embedded: Embedded = False,
    api_key_file: KeyFile = None,
    timeout: StartSeconds = 600.0,
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Talk to a kit; answers appear as they are generated.

    In a conversation, earlier turns are sent with each message. /clear forgets them, /bye or Ctrl-D
    ends, Ctrl-C stops an answer. A kit that does not run yet is started without a port, and stopped
    at the end.
    """
    from mealkit.pipeline.ask.asked_kit import asked_kit
    from mealkit.pipeline.ask.conversing import Conversation, require_chat
    from mealkit.pipeline.ask.predicting import standard_input
    from mealkit.recipe.kit import Task

    session = session_of(context)
    talks = message is None and sys.stdin.isatty()
    if talks and as_json:
        raise failure("USAGE", "--json needs a message", hint="mealkit chat KIT MESSAGE --json")
    if message == "-" or (message is None and not talks):
        message = standard_input().strip()
        if not message:
            raise failure("USAGE", "standard input has no message", hint="mealkit chat KIT MESSAGE")
    request = ask_request(
        target,
        client,
        api_key_file,
        timeout,
        allow_folder=allow_folder,
        embedded=embedded,
        task=Task.GENERATION,
    )
    begun = Conversation.begun(system)
    with asked_kit(request, session.home, session.progress(as_json=as_json)) as kit:
        require_chat(kit, target)
        if message is None:
            _talk(kit, begun, quiet=session.quiet)
        else:
            _answer_once(kit, begun, message, as_json=as_json)


def _answer_once(kit: "AskedKit", begun: "Conversation", message: str, *, as_json: bool) -> None:
    from mealkit.pipeline.ask.conversing import answer_at_once, answer_in_pieces

    if as_json:
        answer = answer_at_once(kit, begun.asked(message))
        print_json({**answer.value, "recipe": answer.recipe})
        return
    answer_in_pieces(kit, begun.asked(message), print_text)
    print_text("\n")


def _talk(kit: "AskedKit", begun: "Conversation", *, quiet: bool) -> None:
    """Answer what is typed, until it is /bye or Ctrl-D."""
    _with_history()
    if not quiet:
        say(f"{kit.model} answers; /bye ends, /clear forgets, Ctrl-C stops an answer")
    now = begun
    while (text := _typed()) is not None:
        match text.strip():
            case "":
                continue
            case "/bye" | "/exit" | "/quit":
                return
            case "/clear":
                now = begun
                say("forgotten")
            case command if command.startswith("/") and " " not in command:
                say(f"there is no {command}; /bye ends, /clear forgets")
            case question:
                now = _turn(kit, now, question)


def _with_history() -> None:
    """Let the arrow keys work, where Python has readline."""
    try:
        import readline  # noqa: F401
    except ImportError:
        return


def _typed() -> str | None:
    """Return a line; None at the end of the input."""
    while True:
        try:
            return input(_PROMPT)
        except EOFError:
            print_text("\n")
            return None
        except KeyboardInterrupt:
            print_text("\n")
            say(f"{_END} or Ctrl-D ends")


def _turn(kit: "AskedKit", now: "Conversation", question: str) -> "Conversation":
    """Print the answer to a question; return the conversation with what was answered."""
    from mealkit.pipeline.ask.conversing import answer_in_pieces

    said: list[str] = []

    def on_text(text: str) -> None:
        said.append(text)
        print_text(text)

    try:
        answer_in_pieces(kit, now.asked(question), on_text)
    except KeyboardInterrupt:
        kit.interrupt()
        print_text("\n")
        say("stopped")
    except MealkitError as error:
        if error.problems[0].code == "TEST_UNREACHABLE":
            raise
        for item in error.problems:
            print_problem(item)
        return now
    else:
        print_text("\n")
    answer = "".join(said)
    return now.with_turn(question, answer) if answer else now
