"""The gateway's endpoints. The list is an allow list: other paths are not passed to the engine.

Every error is a problem in OpenAI's error format.
"""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from mealkit.digest import Digest
from mealkit.runtime.api.about import licences, manifest, metadata, model_cards
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.gateway.forwarding import Answering
from mealkit.runtime.gateway.kit_page import KitPage, late
from mealkit.runtime.gateway.middleware import RequestMiddleware
from mealkit.runtime.gateway.path_spellings import Paths
from mealkit.runtime.gateway.problem_answers import JsonAnswer
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.urls import (
    DOCS_PATH,
    LIVE_PATHS,
    METRICS_PATH,
    OPENAPI_PATH,
    PAGE_FOLDER,
    READY_PATHS,
    START_PATH,
)
from mealkit.runtime.watch.metrics import CONTENT_TYPE, OPENMETRICS
from mealkit.runtime.watch.worker_metrics import worker_metrics

_MODEL_PATH = "/v1/models/"


def create_app(service: Service) -> RequestMiddleware:
    """Create the gateway of one kit.

    It uses Starlette's routes without its application, whose error handling is the task of our
    middleware and would take another tenth of the time per request.
    """
    endpoints = _Endpoints(service)
    page = KitPage(service, endpoints.describe)
    routes = [
        # First, because routes are matched in order and these get the most requests.
        *(
            Route(endpoint.path, Answering(service, endpoint), methods=["POST"])
            for endpoint in offered(service.served)
        ),
        *(Route(path, endpoints.live) for path in LIVE_PATHS),
        *(Route(path, endpoints.ready) for path in READY_PATHS),
        Route("/v1/metadata", endpoints.metadata),
        Route("/v1/manifest", endpoints.manifest),
        Route("/v1/license", endpoints.license),
        Route(OPENAPI_PATH, endpoints.openapi),
        Route(DOCS_PATH, page.page),
        Route(METRICS_PATH, endpoints.metrics),
        Route("/v1/models", endpoints.models),
        Route(_MODEL_PATH + "{name:path}", endpoints.model),
    ]
    endpoints.paths = [route.path for route in routes]
    routes.append(Route(START_PATH, page.start))
    routes.append(Route(PAGE_FOLDER + "{name}", page.file))
    # The middleware has removed a trailing slash: some clients do not follow redirects of a POST.
    router = Router(routes, redirect_slashes=False)
    return RequestMiddleware(router, service, Paths([*endpoints.paths, START_PATH], _MODEL_PATH))


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._description: tuple[object, dict[str, Any]] | None = None
        self._manifest: tuple[bytes, Digest] | None = None
        self.paths: list[str] = []

    async def live(self, _request: Request) -> Response:
        """Answer that this process runs: always 200."""
        snapshot = self._service.lifecycle.snapshot()
        return JsonAnswer(
            {"status": snapshot.status.value, "elapsed_seconds": round(snapshot.elapsed_seconds, 3)}
        )

    async def ready(self, _request: Request) -> Response:
        """Answer whether the kit is ready, and if not, with the reason and the problem's owner."""
        service = self._service
        snapshot = service.lifecycle.snapshot()
        content = snapshot.as_json()
        obstacle = service.obstacle
        if obstacle:
            reason = {"reason": obstacle.sentence, "owner": obstacle.owner.value}
            content |= reason | {"problem": obstacle.as_json()}
        if snapshot.problem and (contact := service.contact(snapshot.problem)):
            content["contact"] = contact
        if service.lifecycle.is_ready and not obstacle:
            return JsonAnswer(content)
        return JsonAnswer(content, 503, {"Retry-After": "1"})

    async def metadata(self, _request: Request) -> Response:
        """Describe this kit."""
        service = self._service
        image = service.settings.image_digest
        return JsonAnswer(metadata(service.lock, service.served, image, self.paths))

    async def manifest(self, _request: Request) -> Response:
        """Return the lock; of the paper's own code only the digests."""
        if self._manifest is None:
            self._manifest = await asyncio.to_thread(manifest, self._service.lock)
        data, digest = self._manifest
        return JsonAnswer(data, headers={"ETag": f'"{digest}"'})

    async def license(self, _request: Request) -> Response:
        """Return the licences of kit and model."""
        lock, models = self._service.lock, self._service.settings.models
        return JsonAnswer(await asyncio.to_thread(licences, lock, models))

    async def openapi(self, _request: Request) -> Response:
        """Describe the kit's API."""
        return JsonAnswer(await self.describe())

    async def metrics(self, request: Request) -> Response:
        """Return the metrics, and those of an engine that has its own."""
        service = self._service
        # An engine's own metrics are passed on unread, and are not in the form of OpenMetrics.
        if service.traits.metrics_prefix is None and _wants_openmetrics(request):
            return Response(service.metrics.openmetrics(), headers={"Content-Type": OPENMETRICS})
        passed_on = await worker_metrics(service.traits.metrics_prefix, service.upstream)
        text = service.metrics.text() + passed_on
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def models(self, _request: Request) -> Response:
        """List the one model, under each of its names."""
        cards = model_cards(self._service.lock)
        return JsonAnswer({"object": "list", "data": list(cards.values())})

    async def model(self, request: Request) -> Response:
        """Describe the one model."""
        name = request.path_params["name"]
        cards = model_cards(self._service.lock)
        if name not in cards:
            self._service.served.require_model(name)
        return JsonAnswer(cards[name])

    async def describe(self) -> dict[str, Any]:
        """Return the description; it is built again after the first answer has added facts."""
        served = self._service.served
        learned = (served.dimensions, served.prediction)
        if self._description is None or self._description[0] != learned:
            module = await late("mealkit.runtime.api.openapi")
            described = await asyncio.to_thread(module.describe, self._service.lock, served)
            self._description = (learned, described)
        return self._description[1]


def _wants_openmetrics(request: Request) -> bool:
    """Return whether a scrape names OpenMetrics first, as Prometheus does."""
    return request.headers.get("accept", "").startswith("application/openmetrics-text")
