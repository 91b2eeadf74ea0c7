"""Reads the values of a request from its body: JSON, or a form where an endpoint takes forms."""

from typing import Any

from starlette.requests import Request

from mealkit.errors import failure
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.form_data import MEDIA_TYPE, is_form, read_form
from mealkit.runtime.api.reading import read_object
from mealkit.runtime.api.served_model import ServedModel


def form_type(request: Request, endpoint: Endpoint) -> str:
    """Return the Content-Type of a form; empty for JSON.

    Raises:
        RequestError: ``REQUEST_MEDIA_TYPE``, the endpoint takes no forms.
    """
    content_type = request.headers.get("content-type", "")
    if not is_form(content_type):
        return ""
    if endpoint.read_form is None:
        raise failure("REQUEST_MEDIA_TYPE", f"{endpoint.path} takes JSON, and no {MEDIA_TYPE}")
    return content_type


def read_values(
    endpoint: Endpoint, served: ServedModel, body: bytes, content_type: str
) -> dict[str, Any]:
    """Read a body: a form if it has the type of one, otherwise JSON.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_TOO_LARGE``, it cannot be read.
    """
    if content_type and endpoint.read_form:
        return endpoint.read_form(read_form(body, content_type), served)
    return read_object(body)
