"""A real server with the shipped models."""

from collections.abc import Iterator

import httpx
import pytest

from tests.server_process import serving


@pytest.fixture(scope="package")
def client() -> Iterator[httpx.Client]:
    with serving() as served, served.client() as made:
        yield made
