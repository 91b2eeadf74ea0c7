"""What a worker does to the world outside: no connection, no file but what it says."""

from engines.transformers.conftest import WorkerProcess

from mealkit.engines.transformers.engine import RECIPE


def test_it_connects_nowhere_and_leaves_nothing(
    transformers_packages, transformers_settings, tiny_llama, minilm_files, tmp_path
):
    """Loading and answering opens no socket and starts no process; torch makes an empty folder."""
    worker = WorkerProcess(transformers_packages, tmp_path, transformers_settings)
    worker.load(tiny_llama, "generation")("greedy", [1, 2, 3], 3)
    worker.load(minilm_files, "embeddings")("embed", ["hello world"])
    events = worker("events")
    modules = worker("modules")
    worker.close()
    assert {event for event, _ in events} <= {"open", "os.mkdir"}
    assert all(path.startswith(str(tmp_path)) for _, path in events)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    excluded = {name.replace("-", "_") for name in RECIPE.excludes}
    assert excluded.isdisjoint(modules)
