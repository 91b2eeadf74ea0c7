"""The settings of a kit's server: port, limits and times. None of them changes an answer."""

from typing import Annotated

from pydantic import Field

from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.strings import Line, Size

# For the last answers after the drain, and for the engine to end.
_LAST_SECONDS = 10


class Serving(StrictModel):
    """The settings of the server."""

    port: Annotated[Annotated[int, Field(ge=1, le=65535)], KEEPS_ANSWERS] = 8000
    """The port in the container."""
    max_concurrency: Annotated[Annotated[int, Field(ge=1, le=10000)], KEEPS_ANSWERS] = 8
    """How many requests the engine answers concurrently; more wait."""
    max_queue: Annotated[Annotated[int, Field(ge=0, le=100000)], KEEPS_ANSWERS] = 32
    """How many requests may wait; more get 429 with Retry-After. The keys share the places."""
    max_body: Annotated[Size, KEEPS_ANSWERS] = "4MiB"
    """The largest request body."""
    timeout_seconds: Annotated[Annotated[int, Field(ge=1, le=86400)], KEEPS_ANSWERS] = 60
    """How many seconds an answer may take, including the time in the queue."""
    keepalive_seconds: Annotated[Annotated[int, Field(ge=0, le=3600)], KEEPS_ANSWERS] = 3
    """Seconds of silence after which a waiting stream gets a comment line, so that proxies do not
    close it; 0: never. After the first one, an error is an event and not a status."""
    model_aliases: Annotated[Annotated[tuple[Line, ...], Field(max_length=32)], KEEPS_ANSWERS] = ()
    """Other names of the model for callers, such as "gpt-4o-mini" for a program that cannot be
    changed. Answers have the model's own name."""
    start_seconds: Annotated[Annotated[int, Field(ge=1, le=86400)], KEEPS_ANSWERS] = 3600
    """How many seconds the engine may take to load."""
    canary_seconds: Annotated[Annotated[int, Field(ge=0, le=86400)], KEEPS_ANSWERS] = 30
    """Seconds without a request after which the gateway sends a small test request; 0: never."""
    lame_duck_seconds: Annotated[Annotated[int, Field(ge=0, le=3600)], KEEPS_ANSWERS] = 5
    """How many seconds new requests are still answered after SIGTERM, while load balancers notice
    that the kit is no longer ready. The drain follows."""
    drain_seconds: Annotated[Annotated[int, Field(ge=0, le=3600)], KEEPS_ANSWERS] = 20
    """How many seconds running requests may continue after a request to stop."""
    restarts: Annotated[Annotated[int, Field(ge=0, le=100)], KEEPS_ANSWERS] = 3
    """How often a worker that died or hung is restarted before the kit fails."""

    @property
    def stop_seconds(self) -> int:
        """How many seconds a container needs at most to stop, before it may be killed."""
        return self.lame_duck_seconds + self.drain_seconds + _LAST_SECONDS
