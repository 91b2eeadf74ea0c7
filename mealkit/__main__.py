"""``python -m mealkit``: the same as the command ``mealkit``."""

from mealkit.cli import main

if __name__ == "__main__":
    main()
