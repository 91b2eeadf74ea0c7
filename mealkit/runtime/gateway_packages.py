"""The Python packages of the image's gateway, as pip writes them; the lock pins their wheels."""

GATEWAY_REQUIREMENTS: tuple[str, ...] = (
    "starlette>=1.10",
    "uvicorn>=0.54",
    "h11>=0.16",
    "prometheus-client>=0.26",
    "pydantic>=2.12",
    "jinja2>=3.1",
    "nvidia-ml-py>=13.580",
)
"""What the gateway needs. Locks have a digest of it: another text here makes every lock stale."""

GATEWAY_BOUNDS: tuple[str, ...] = ("uvicorn<0.55",)
"""What a new lock may take at most: `mealkit.runtime.http.protocol` subclasses what is private to
uvicorn, and was tested with these versions. No lock has a digest of it, so that a lock which was
made before a bound moved stays valid."""
