"""The base of routes that follow other servers: they take forms as well as JSON, and fields in the query string."""

import json
from urllib.parse import parse_qs

from pydantic import ConfigDict
from starlette.datastructures import Headers

from server.api.request import JsonRequest, JsonRoute
from server.api.schemas.base import RequestBody
from server.errors import BadRequest, UnsupportedMediaType
from server.tasks.offload import SMALL_BYTES, offload

FORM = "application/x-www-form-urlencoded"


class PeerBody(RequestBody):
    """A body that may come as a form, where every value is text: numbers and booleans are read from text."""

    model_config = ConfigDict(strict=False)


class FormRequest(JsonRequest):
    """A request whose body is JSON or a form. A form is read as the JSON object with the same fields.

    Fields in the query string count as fields of the form; a request that has them may have no body.
    """

    async def body(self) -> bytes:
        """Read the body; a field that occurs several times becomes a list."""
        raw = await super().body()
        kind = self._kind()
        if kind == FORM or not (kind or raw):
            try:
                query = self.url.query
                self._body = await offload(lambda: _as_json(query, raw), len(raw), SMALL_BYTES)
            except ValueError:
                raise BadRequest("The form is malformed.") from None
            self._headers = Headers({**self.headers, "content-type": "application/json"})  # FastAPI looks there
        elif not kind:
            raise UnsupportedMediaType(kind, f"application/json or {FORM}")
        return self._body

    def _kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _require_json(self) -> None:
        if self._kind() not in ("", FORM):
            super()._require_json()


def _as_json(query: str, form: bytes) -> bytes:
    """The fields of a query string and a form as one JSON object.

    Raises:
        ValueError: it is no form, or has more than 10,000 fields.
    """
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=10_000)
    fields |= parse_qs(form.decode("utf-8"), keep_blank_values=True, max_num_fields=10_000)
    return json.dumps({name: values if len(values) > 1 else values[0] for name, values in fields.items()}).encode()


class PeerRoute(JsonRoute):
    """A route of another server; ``peers`` has the shape of its errors."""

    request_class = FormRequest
