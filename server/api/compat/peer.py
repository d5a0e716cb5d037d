"""What the routes of other servers have in common: forms as well as JSON, and errors in the peer's own shape."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar
from urllib.parse import parse_qs

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ConfigDict
from starlette.datastructures import Headers

from server.api import problems
from server.api.reading import JsonRequest, JsonRoute
from server.api.record import KEY
from server.api.schemas.base import RequestBody
from server.errors import BadRequest, ServerError
from server.tasks.aside import SMALL_BYTES, aside

FORM = "application/x-www-form-urlencoded"


class PeerBody(RequestBody):
    """A body that may come as a form, where every value is text: numbers and booleans are read from text."""

    model_config = ConfigDict(strict=False)


class FormRequest(JsonRequest):
    """A request whose body is JSON or a form; a form is read as the JSON object it stands for."""

    async def body(self) -> bytes:
        """Read the body; a field that occurs several times becomes a list."""
        raw = await super().body()
        if self._is_form():
            try:
                self._body = await aside(lambda: _as_json(raw), len(raw), SMALL_BYTES)
            except ValueError:
                raise BadRequest("The form is malformed.") from None
            self._headers = Headers({**self.headers, "content-type": "application/json"})  # FastAPI looks there
        return self._body

    def _is_form(self) -> bool:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM

    def _require_json(self) -> None:
        if not self._is_form():
            super()._require_json()


def _as_json(form: bytes) -> bytes:
    """A form as the JSON object it stands for.

    Raises:
        ValueError: it is no form, or has more fields than anybody needs.
    """
    fields = parse_qs(form.decode("utf-8"), keep_blank_values=True, max_num_fields=10_000)
    return json.dumps({name: values if len(values) > 1 else values[0] for name, values in fields.items()}).encode()


class PeerRoute(JsonRoute):
    """A route of another server. ``shape`` writes an error as that server would."""

    request_class = FormRequest
    statuses: ClassVar[dict[int, int]] = {}
    """Our status to the peer's, where they differ."""

    @staticmethod
    def shape(error: ServerError) -> dict[str, Any]:
        """The body of an error."""
        return problems.body_of(error)

    @classmethod
    def answer(cls, error: ServerError) -> JSONResponse:
        """An error as that server would answer it."""
        status = cls.statuses.get(error.status, error.status)
        return JSONResponse(cls.shape(error), status, problems.headers_of(error))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler so that its errors come in the peer's shape."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError as error:
                ours = problems.from_validation(error.errors(), error.body)
            except ServerError as error:
                ours = error
            request.scope[KEY].fail(ours)
            return self.answer(ours)

        return handle
