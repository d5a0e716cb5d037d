"""Running the server: one uvicorn, signals that drain, an exit code that says how it went."""

import asyncio
import logging
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from server.errors import Unavailable
from server.settings import Settings
from server.tasks.services import Services

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn that drains: SIGTERM or Ctrl-C lets running work finish, a second one stops it.

    While it drains it still listens: ``/ready`` says so, and new work gets a 503 with ``retry-after``.
    """

    def __init__(self, config: uvicorn.Config, services: Services, drain_s: float) -> None:
        super().__init__(config)
        self._services = services
        self._drain_s = drain_s
        self._draining: asyncio.Task[None] | None = None
        self._main_loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and say where."""
        self._main_loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]
        for each in self.servers:
            for socket in each.sockets:
                host, port = socket.getsockname()[:2]
                print(f"Hearth listens on http://{host}:{port}", flush=True)
        self._announcing = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        """Say what is served once every model has loaded or failed."""
        engines = [model.engine for model in self._services.models.values()]
        await asyncio.gather(*(asyncio.to_thread(engine.wait_ready) for engine in engines))
        for served in self._services.served():
            state = "" if served.state == "ready" else f"  [{served.state}: {served.reason}]"
            print(f"  {served.id:<12} {served.task:<15} {served.card.summary}{state}", flush=True)
        print("Ready. API documentation: /docs, metrics: /metrics", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at the second. Called by the interpreter between two instructions."""
        if self._draining is None and self._main_loop is not None:
            self._main_loop.call_soon_threadsafe(self._drain)
        else:
            self.should_exit = self.force_exit = True

    def _drain(self) -> None:
        if self._draining is None:
            log.info("draining: no new work, at most %.0f s for what runs", self._drain_s)
            self._services.refuse(Unavailable("The server is shutting down.", 5.0))
            self._draining = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(self._drain_s):
                await self._services.drained()
        except TimeoutError:
            log.warning("work was still running after %.0f s; it is stopped", self._drain_s)
        self.should_exit = True


def serve(app: FastAPI, settings: Settings) -> int:
    """Serve until a signal says otherwise; the exit code."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(settings.keep_alive_s),
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = Server(config, app.state.services, settings.drain_s)
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, server.handle_exit)
    # Lanes hand over batches between two steps of the event loop: the usual 5 ms would leave an engine idle meanwhile.
    sys.setswitchinterval(0.0005)
    server.run()
    return 0 if server.started else 1
