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
