"""The container's entry point: ``python -m mealkit.runtime``."""

import gc
import os
import sys

from mealkit.runtime.life.isolation import close_process
from mealkit.runtime.life.worker_plan import begin

if __name__ == "__main__":
    # Before anything of the kit runs.
    close_process()
    # Nothing of what is imported is garbage; the container turns it on again.
    gc.disable()
    begun = begin(os.environ)
    # What takes long to import comes after the worker, which has the longer way.
    from mealkit.runtime.life.launch import main

    sys.exit(main(os.environ, begun))
