"""The container's entry point: ``python -m mealkit.runtime``."""

import os
import sys

from mealkit.runtime.launch import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
