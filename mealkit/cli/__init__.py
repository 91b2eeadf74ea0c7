"""The command line. Each verb has a file that parses, calls the pipeline once, and prints."""


def main() -> None:
    """Run the verb that the arguments name, and exit with its code."""
    from mealkit.cli.program import app

    app(prog_name="mealkit")
