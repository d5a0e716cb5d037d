"""Running the server: one uvicorn, signals that drain, an exit code that says how it went."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from server import api
from server.api.keys import Keyring
from server.errors import Unavailable
from server.http.connection import CLOSE, Connection, ConnectionLimits, Limits, room_for
from server.serving.registry import ModelRegistry
from server.settings import Settings, SettingsError

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn that drains: SIGTERM or Ctrl-C lets running work finish, a second one stops it.

    After SIGTERM ``/ready`` answers 503 at once, so that a load balancer sends no more requests. Requests that still
    come during the notice are served, and each answer closes its connection. After the notice the server still listens
    until running work has ended, and new work gets a 503 with ``retry-after``. Ctrl-C gives no notice.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        registry: ModelRegistry,
        drain_s: float,
        drain_notice_s: float = 0.0,
        keyring: Keyring | None = None,
        metrics: uvicorn.Config | None = None,
        pages: Sequence[tuple[str, str]] = (),
        stop_batches: Callable[[], None] | None = None,
    ) -> None:
        """Make a server.

        Args:
            config: uvicorn's: the application and the address.
            registry: the models, which are drained before the end.
            drain_s: running work may take so long.
            drain_notice_s: new work is still taken for so long after SIGTERM.
            keyring: the API keys, which SIGHUP reads again.
            metrics: the server of metrics, where these have a port of their own.
            pages: names of pages for people, with their paths.
            stop_batches: called at the first signal: lines of batches wait for the next start, and nobody for them.
        """
        super().__init__(config)
        self._registry = registry
        self._drain_s = drain_s
        self._drain_notice_s = drain_notice_s
        self._keyring = keyring
        self._metrics = metrics
        self._pages = pages
        self._stop_batches = stop_batches
        self._url = ""
        self._draining: asyncio.Task[None] | None = None
        self._main_loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and print the addresses."""
        self._main_loop = asyncio.get_running_loop()
        scrapes = None if self._metrics is None else await self._listen_for_scrapes(self._metrics)
        await super().startup(sockets)  # type: ignore[arg-type]
        for each in self.servers:
            for socket in each.sockets:
                host, port = socket.getsockname()[:2]
                url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                self._url = self._url or url
                print(f"Hearth listens on {url}", flush=True)
        if scrapes is not None:
            self.servers.append(scrapes)
        self._announcing = asyncio.create_task(self._announce())

    async def _listen_for_scrapes(self, config: uvicorn.Config) -> asyncio.Server:
        config.load()
        make: Callable[..., asyncio.Protocol] = config.http_protocol_class
        protocol = partial(make, config=config, server_state=self.server_state, app_state={})
        try:
            listener = await asyncio.get_running_loop().create_server(protocol, config.host, config.port)
        except OSError as error:
            log.error("metrics cannot be served on %s:%d: %s", config.host, config.port, error.strerror)
            raise SystemExit(1) from error
        print(f"Metrics are on http://{config.host}:{config.port}/metrics", flush=True)
        return listener

    async def _announce(self) -> None:
        """Print the list of models once every model has loaded or failed."""
        await self._registry.settled()
        for served in self._registry.served():
            state = "" if served.state == "ready" else f"  [{served.state}{served.reason and f': {served.reason}'}]"
            print(f"  {served.id:<12} {served.task:<15} {served.card.summary}{state}", flush=True)
        # A browser cannot open the address that stands for all addresses.
        url = self._url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        print("\n".join(["Ready.", *(f"  {name:<12} {url}{path}" for name, path in self._pages)]), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at the second. Called by the interpreter between two instructions."""
        if self._draining is None and self._main_loop is not None:
            notice_s = self._drain_notice_s if sig == signal.SIGTERM else 0.0
            self._main_loop.call_soon_threadsafe(self._drain, notice_s)
        else:
            self.should_exit = self.force_exit = True

    def handle_hangup(self, sig: int, frame: FrameType | None) -> None:
        """Read the API keys again."""
        if self._main_loop is not None:
            self._main_loop.call_soon_threadsafe(self._read_keys)

    def _read_keys(self) -> None:
        if self._keyring is None:
            return
        try:
            self._keyring.reload()
        except SettingsError as error:
            log.error("the API keys stay as they were: %s", error)

    def _drain(self, notice_s: float) -> None:
        if self._draining is None:
            self._registry.is_leaving = True
            if self._stop_batches is not None:
                self._stop_batches()
            # uvicorn writes these two into the headers of each answer, and makes the second anew every second.
            self.config.encoded_headers.append(CLOSE)
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
            self._draining = asyncio.create_task(self._finish(notice_s))

    async def _finish(self, notice_s: float) -> None:
        if notice_s:
            log.info("leaving: /ready says so, and new work is taken for another %.0f s", notice_s)
            await asyncio.sleep(notice_s)
        log.info("draining: no new work, at most %.0f s for what runs", self._drain_s)
        self._registry.refuse(Unavailable("The server is shutting down.", 5.0))
        try:
            async with asyncio.timeout(self._drain_s):
                await self._registry.drained()
        except TimeoutError:
            log.warning("work was still running after %.0f s; it is stopped", self._drain_s)
        self.should_exit = True


def serve(app: FastAPI, settings: Settings) -> int:
    """Serve until a signal ends it. Returns the exit code."""
    server = make_server(app, settings)
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, server.handle_exit)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, server.handle_hangup)
    # Lanes hand over batches between two steps of the event loop: the usual 5 ms would leave an engine idle meanwhile.
    sys.setswitchinterval(0.0005)
    server.run()
    return 0 if server.started else 1


def make_server(app: FastAPI, settings: Settings) -> Server:
    """The server of an application; it does not listen yet. Raises the limit on open files."""
    limits = Limits(room_for(settings.max_connections), settings.header_timeout_s, settings.send_timeout_s)
    door = ConnectionLimits(limits, app.state.metrics)

    def config(served: FastAPI, host: str, port: int) -> uvicorn.Config:
        return uvicorn.Config(
            served,
            host=host,
            port=port,
            http=partial(Connection, door),  # type: ignore[arg-type]  # any protocol's maker does
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the client's address is never used
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # for loop.call_later: no need to cut it
            timeout_graceful_shutdown=5,
        )

    metrics = None
    if settings.metrics_port:
        metrics = config(api.metrics_only(settings, app.state.metrics), settings.metrics_host, settings.metrics_port)
    main = config(app, settings.host, settings.port)
    pages = [("playground", "/")] if settings.playground else []
    pages += [("API", "/docs")] + ([("metrics", "/metrics")] if metrics is None else [])
    drain = settings.drain_s, settings.drain_notice_s
    return Server(main, app.state.registry, *drain, app.state.keyring, metrics, pages, app.state.runner.stop)
