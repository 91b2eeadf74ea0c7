"""The container's entry point: ``python -m mealkit.runtime``."""

import gc
import os
import sys

from mealkit.runtime.life.isolation import close_process
from mealkit.runtime.life.worker_plan import begin

if __name__ == "__main__":
    # Before any of the kit's code runs.
    close_process()
    # Imported objects are never garbage; the container turns the collector on again.
    gc.disable()
    begun = begin(os.environ)
    # Slow imports come after the start of the worker, which takes longer to get ready.
    from mealkit.runtime.life.launch import main

    sys.exit(main(os.environ, begun))
