"""The container's entry point: ``python -m mealkit.runtime``."""

import gc
import os
import sys

from mealkit.runtime.life.isolation import close_process
from mealkit.runtime.life.worker_plan import begin

if __name__ == "__main__":
    if sys.argv[1:2] == ["test"]:
        from mealkit.runtime.neighbour_test import neighbour_exit

        # The process is not closed: it runs none of the kit's code.
        sys.exit(neighbour_exit(sys.argv[2:], os.environ))
    if sys.argv[1:2] == ["weights"]:
        from mealkit.runtime.weights_volume import weights_exit

        sys.exit(weights_exit(sys.argv[2:], os.environ))
    if len(sys.argv) > 1:
        from mealkit.runtime.modelcar import modelcar_exit

        # Before the process is closed: KServe's other container reads /models through it.
        done = modelcar_exit(sys.argv[1:])
        if done is not None:
            sys.exit(done)
    # Before any of the kit's code runs.
    close_process()
    # Imported objects are never garbage; the container turns the collector on again.
    gc.disable()
    begun = begin(os.environ)
    # Slow imports come after the start of the worker, which takes longer to get ready.
    from mealkit.runtime.life.launch import main

    sys.exit(main(os.environ, begun))
