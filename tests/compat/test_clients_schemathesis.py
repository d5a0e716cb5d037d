"""Requests made from ``/openapi.json`` by schemathesis: whatever it allows is answered, in a shape that it states.

Run by `make test-clients`; ``SCHEMATHESIS_CASES`` are how many requests an operation gets.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.server_process import LIMIT_S, Served

WHY = "schemathesis is in the environment of `make test-clients` only"
schemathesis = pytest.importorskip("schemathesis", reason=WHY)

CASES = int(os.environ.get("SCHEMATHESIS_CASES", "15"))
UNTRIED = r"^/(metrics|docs.*|health|ready)$"
"""Not JSON, or nothing to get wrong."""


def test_whatever_is_asked_is_answered_as_described(server: Served) -> None:
    api = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path_regex=UNTRIED)
    known = schemathesis.checks
    checks = [
        known.not_a_server_error,
        known.status_code_conformance,
        known.content_type_conformance,
        known.response_schema_conformance,
    ]
    wrong = []
    for found in api.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=CASES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.validate_response(case.call(timeout=LIMIT_S), checks=checks)

        try:
            ask()
        except (Exception, BaseExceptionGroup) as error:  # each operation has its say
            why = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
            wrong.append(f"{operation.label}: {'; '.join(map(repr, why))}")
    assert not wrong, "\n\n".join(wrong)
