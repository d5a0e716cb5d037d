"""What an attacker is let loose on: the application of tests/api, in process or on a real socket."""

from tests.api import conftest as api

serving = api.serving
served = api.served
shipped = api.shipped
logged = api.logged
until = api.until
