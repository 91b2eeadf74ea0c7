"""The endpoints that callers meet. An allow list: what is not here does not get through.

Refuses what the kit cannot do exactly as asked, always as a problem in OpenAI's error shape.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mealkit.errors import MealkitError, failure, problem
from mealkit.runtime.about import metadata, model_card
from mealkit.runtime.answering import Answering
from mealkit.runtime.answers import JsonAnswer, problem_answer
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.envelope import Envelope
from mealkit.runtime.metrics import CONTENT_TYPE
from mealkit.runtime.service import Service
from mealkit.runtime.worker_metrics import worker_metrics

_LIVE = ("/v1/health/live", "/healthz")
# vLLM, KServe and llm-d ask /health, SageMaker /ping; both mean "can it answer".
_READY = ("/v1/health/ready", "/readyz", "/health", "/ping")


def create_app(service: Service) -> Starlette:
    """Make the gateway of one kit."""
    endpoints = _Endpoints(service)
    routes = [
        *(Route(path, endpoints.live) for path in _LIVE),
        *(Route(path, endpoints.ready) for path in _READY),
        Route("/v1/metadata", endpoints.metadata),
        Route("/metrics", endpoints.metrics),
        Route("/v1/models", endpoints.models),
        Route("/v1/models/{name:path}", endpoints.model),
        *(
            Route(endpoint.path, Answering(service, endpoint), methods=["POST"])
            for endpoint in offered(service.offer)
        ),
    ]
    endpoints.paths = [route.path for route in routes]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Envelope, service=service, routes=endpoints.paths)],
        exception_handlers={
            MealkitError: endpoints.refuse,
            HTTPException: endpoints.refuse_route,
        },
    )
    # A redirect would be an answer that nobody asked for.
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        self.paths: list[str] = []

    async def live(self, _request: Request) -> Response:
        """Say that this process runs: always 200."""
        snapshot = self._service.lifecycle.snapshot()
        return JsonAnswer(
            {"status": snapshot.status.value, "elapsed_seconds": round(snapshot.elapsed_seconds, 3)}
        )

    async def ready(self, _request: Request) -> Response:
        """Say whether requests will be answered, and if not, why and whose problem it is."""
        service = self._service
        snapshot = service.lifecycle.snapshot()
        content = snapshot.as_json()
        if snapshot.problem and (contact := service.contact(snapshot.problem)):
            content["contact"] = contact
        if service.lifecycle.is_ready:
            return JsonAnswer(content)
        return JsonAnswer(content, 503, {"Retry-After": "1"})

    async def metadata(self, _request: Request) -> Response:
        """Say what this kit is."""
        return JsonAnswer(metadata(self._service, self.paths))

    async def metrics(self, _request: Request) -> Response:
        """Give the counters, and those of an engine that has its own."""
        service = self._service
        passed_on = await worker_metrics(service.lock.engine.name, service.upstream)
        text = service.metrics.text() + passed_on
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def models(self, _request: Request) -> Response:
        """List the one model."""
        return JsonAnswer({"object": "list", "data": [model_card(self._service)]})

    async def model(self, request: Request) -> Response:
        """Describe the one model."""
        name = request.path_params["name"]
        served = self._service.lock.model.name
        if name != served:
            message = f"the model {name!r} is not served here, {served!r} is"
            raise failure("REQUEST_MODEL", message, where="model")
        return JsonAnswer(model_card(self._service))

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answer with the problem of an error."""
        assert isinstance(error, MealkitError)  # noqa: S101  it is registered for those
        fault = self._service.explain(error)
        return problem_answer(fault, request.state.request_id, contact=self._service.contact(fault))

    async def refuse_route(self, request: Request, error: Exception) -> Response:
        """Answer for an endpoint or a method that is not there."""
        assert isinstance(error, HTTPException)  # noqa: S101  it is registered for those
        path = request.url.path[:200]
        if error.status_code == 405:
            fault = problem("METHOD_UNKNOWN", f"{path} does not take {request.method}")
        else:
            fault = problem("ROUTE_UNKNOWN", f"there is no endpoint {path}")
        self._service.metrics.failed(fault)
        headers = dict(error.headers or {})
        return problem_answer(fault, request.state.request_id, headers=headers)
