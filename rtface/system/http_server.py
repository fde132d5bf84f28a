"""An ASGI application served by uvicorn in a thread of its own; and what wakes its coroutines from other threads."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rtface.errors import UsageError, require

#: A silent stream of events says that it lives.
HEARTBEAT_S = 15.0
#: How long open streams may take to end.
GOODBYE_S = 1


def listen(host: str, port: int, mend: str, send_bytes: int | None = None) -> socket.socket:
    """A socket that listens; port 0 = any that is free.

    Args:
        host, port: Where.
        mend: What to do where that cannot be had.
        send_bytes: How much the system keeps for a client that does not read, about; None = megabytes.

    Raises:
        UsageError: The address is none of this machine's, or is taken; `mend` says what to do.
    """
    try:
        family, kind, *_, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{host}:{port}", f"is no address to listen on ({error})", mend) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if send_bytes is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)  # its connections inherit it
    try:
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(f"{host}:{port}", f"cannot be listened on ({error.strerror})", mend) from error
    return listening


class HttpServer:
    """A running server.

    Args:
        app: What answers.
        listening: A socket that listens; closed by `close`.
    """

    def __init__(self, app: Any, listening: socket.socket) -> None:
        uvicorn = require("uvicorn", "serve")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # or a client could choose the address that its rate is counted for
            lifespan="off",
            ws_max_size=4096,
            ws_per_message_deflate=False,  # JPEG does not shrink
            limit_concurrency=256,
            timeout_graceful_shutdown=GOODBYE_S,
        )
        logging.getLogger("uvicorn.error").addFilter(_worth_telling)
        self._socket, self._uvicorn = listening, uvicorn.Server(config)
        self.port = int(listening.getsockname()[1])
        name = f"rtface-http-{self.port}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=name, daemon=True)
        self._thread.start()

    async def _serve(self) -> None:
        await self._uvicorn.serve([self._socket])
        for connection in list(self._uvicorn.server_state.connections):  # of clients that take nothing any more
            connection.transport.abort()
        await asyncio.sleep(0)

    def keep_no_backlog(self) -> None:
        """Let who sends wait until a client has read, rather than keep what is old for it. For the server's thread."""
        for connection in self._uvicorn.server_state.connections:
            connection.transport.set_write_buffer_limits(high=0)

    def close(self) -> None:
        """Hang up, at the latest after a few seconds."""
        self._uvicorn.should_exit = True
        self._thread.join(5.0)
        self._socket.close()


def _worth_telling(record: logging.LogRecord) -> bool:
    """Leaves out what uvicorn says of each WebSocket that was refused, since others could fill the log with it, and of
    clients that it has to hang up on at the end."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    message = record.getMessage()
    return "without completing handshake" not in message and "timeout graceful shutdown" not in message


class Bell:
    """Rung by any thread, heard by the coroutines of one event loop that wait for something to happen."""

    def __init__(self) -> None:
        self.stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asleep: set[asyncio.Future[bool]] = set()
        self._waiting = 0

    def ring(self) -> None:
        """Something may have happened. Costs next to nothing where nobody waits."""
        if self._waiting and self._loop is not None:
            with suppress(RuntimeError):  # the server is closed
                self._loop.call_soon_threadsafe(self._wake)

    def stop(self) -> None:
        """Nothing will happen any more."""
        self.stopped = True
        self.ring()

    async def until(self, happened: Callable[[], bool], timeout: float) -> bool:
        """Wait until something holds; False = it does not after `timeout` seconds, or never will."""
        loop = self._loop = asyncio.get_running_loop()
        self._waiting += 1  # before the first look: what changes after it rings
        end = loop.time() + timeout
        try:
            while not (happened() or self.stopped):
                # asyncio.wait_for would make a task each time: a stream waits for every frame.
                asleep = loop.create_future()
                self._asleep.add(asleep)
                alarm = loop.call_at(end, _give, asleep, False)
                try:
                    if not await asleep:
                        break
                finally:
                    alarm.cancel()
                    self._asleep.discard(asleep)
        finally:
            self._waiting -= 1
        return happened()

    def _wake(self) -> None:
        for one in self._asleep:
            _give(one, True)


def _give(asleep: asyncio.Future[bool], is_rung: bool) -> None:
    if not asleep.done():
        asleep.set_result(is_rung)


def sse_message(number: int, kind: str, text: str) -> bytes:
    """A message of a stream of Server-Sent Events.

    Args:
        number: Grows; a client that reconnects says which was its last (Last-Event-ID).
        kind: What its listeners are registered for.
        text: JSON, without a line break.
    """
    return f"id: {number}\nevent: {kind}\ndata: {text}\n\n".encode()
