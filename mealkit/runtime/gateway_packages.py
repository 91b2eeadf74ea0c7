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
"""The gateway's packages. Locks contain a digest of this text: a change makes every lock stale."""

GATEWAY_BOUNDS: tuple[str, ...] = ("uvicorn<0.55",)
"""Upper bounds of versions for new locks: `mealkit.runtime.http.protocol` subclasses private
parts of uvicorn, and was tested with these versions. Locks contain no digest of this text, so a
lock stays valid when a bound changes."""
