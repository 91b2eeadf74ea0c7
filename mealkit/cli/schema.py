"""mealkit schema: the JSON Schema of kit.yaml."""

from mealkit.cli.output import print_json

EXAMPLES = ("mealkit schema", "mealkit schema > kit.schema.json")


def schema() -> None:
    """Print the JSON Schema of kit.yaml, for editors."""
    from mealkit.engines.whole_schema import full_schema

    print_json(full_schema())
