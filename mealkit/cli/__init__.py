"""The command line: one file for each verb, which parses, calls the pipeline once, and prints."""


def main() -> None:
    """Run the program that the arguments ask for, and exit with its code."""
    from mealkit.cli.program import app

    app(prog_name="mealkit")
