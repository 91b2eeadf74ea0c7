"""Serves the page of a kit, its scripts and its style; everything is made on the first request.

Without a key, where keys are needed, a browser gets a page with a field for the key and no facts
about the kit: browsers cannot send a key when they load a page.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from mealkit.errors import failure
from mealkit.recipe.operations import effective_ops
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.gateway.outer_address import outer_address
from mealkit.runtime.gateway.problem_answers import JsonAnswer
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.urls import (
    DOCS_PATH,
    OPENAPI_PATH,
    PAGE_FILES,
    PAGE_FOLDER,
    READY_PATHS,
    START_PATH,
)

_TYPES = {"css": "text/css", "js": "text/javascript"}
# A kit has few addresses; others come from callers that invent host names.
_MOST_PAGES = 8


class KitPage:
    """The page of one kit, by the address of its caller, and the files of the page."""

    def __init__(self, service: Service, describe: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._service = service
        self._describe = describe
        self._description: dict[str, Any] | None = None
        self._pages: dict[str, bytes] = {}
        self._files: dict[str, Response] = {}

    async def start(self, request: Request) -> Response:
        """Return the page to browsers, and to programs the addresses of what there is."""
        if wants_page(request.headers):
            return await self.page(request)
        service, address = self._service, self._address(request)
        about = service.lock.about
        return JsonAnswer(
            {
                "kit": f"{about.name} {about.version}",
                "model": service.served.model,
                "docs": address + DOCS_PATH,
                "openapi": address + OPENAPI_PATH,
                "metadata": f"{address}/v1/metadata",
                "ready": address + READY_PATHS[0],
                "endpoints": [address + endpoint.path for endpoint in offered(service.served)],
            }
        )

    async def page(self, request: Request) -> Response:
        """Return the page."""
        path = request.scope["raw_path"]
        if len(path) > 1 and path.endswith(b"/"):
            # Otherwise the page's relative addresses would be wrong.
            return Response(status_code=308, headers={"Location": f"..{DOCS_PATH}"})
        address = self._address(request)
        described = await self._describe()
        if described is not self._description:
            self._description, self._pages = described, {}
        module = await late("mealkit.runtime.api.page")
        content = self._pages.get(address)
        if content is None:
            content = await asyncio.to_thread(self._render, module, described, address)
            # Another request may have learned a newer description meanwhile.
            if self._description is described:
                self._keep(address, content)
        return _html(content, module)

    async def file(self, request: Request) -> Response:
        """Return a script or the style."""
        name = request.url.path.rpartition(PAGE_FOLDER)[2]
        if name not in PAGE_FILES:
            raise failure("ROUTE_UNKNOWN", f"there is no endpoint {PAGE_FOLDER}{name[:100]}")
        if name not in self._files:
            module = await late("mealkit.runtime.api.page")
            data = await asyncio.to_thread((module.PARTS / name).read_bytes)
            # Another version of the kit may answer at the same address, so browsers ask again.
            tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
            headers = {"ETag": tag, "Cache-Control": "no-cache"}
            kind = _TYPES[name.rpartition(".")[2]]
            self._files[name] = Response(data, headers=headers, media_type=kind)
        found = self._files[name]
        if request.headers.get("if-none-match") == found.headers["etag"]:
            return Response(status_code=304, headers={"ETag": found.headers["etag"]})
        return Response(found.body, headers=dict(found.headers))

    def _address(self, request: Request) -> str:
        """Return the kit's address, as its caller has it."""
        settings = self._service.settings
        return outer_address(request.headers, is_behind_proxy=settings.is_behind_proxy)

    def _keep(self, address: str, content: bytes) -> None:
        while len(self._pages) >= _MOST_PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[address] = content

    def _render(self, module: ModuleType, described: dict[str, Any], address: str) -> bytes:
        service = self._service
        needs_key = not service.keys.is_open
        ops = effective_ops(service.lock.ops, service.settings.ops)
        text: str = module.page(
            service.lock, service.served, described, address, needs_key=needs_key, ops=ops
        )
        return text.encode()


def wants_page(headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks for a page."""
    return "text/html" in headers.get("accept", "")


async def door(scope: Scope, headers: Mapping[str, str]) -> Response | None:
    """Return the page with a field for the key; None if the request is not for the kit's page."""
    is_page = scope["method"] == "GET" and scope["path"] in {START_PATH, DOCS_PATH}
    if not is_page or not wants_page(Request(scope).headers):
        return None
    module = await late("mealkit.runtime.api.page")
    answer = _html((await asyncio.to_thread(module.door)).encode(), module)
    answer.status_code = 401
    answer.headers.update(headers)
    return answer


def _html(content: bytes, module: ModuleType) -> Response:
    headers = {
        "Content-Security-Policy": module.CONTENT_POLICY,
        "Referrer-Policy": "no-referrer",
        # The page contains the address of the request, and depends on the key.
        "Cache-Control": "no-store",
    }
    return Response(content, headers=headers, media_type="text/html")


async def late(name: str) -> ModuleType:
    """Import a module for rare requests in a thread: not at the start, without blocking."""
    return await asyncio.to_thread(import_module, name)
