"""A server from its socket to its end: it answers what it has taken before it leaves."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

from goodctl.errors import ConflictError, Interrupted, MissingDependency, ServiceError, UsageError
from goodctl.progress import Progress, Report, silent
from goodctl.scoring.protocol import TOXICITY, Scorer, ScorerOptions
from goodctl.scoring.registry import open_scorer
from goodctl.serving.choice import ServeChoice

try:
    import uvicorn

    from goodctl.serving.heads import timed
    from goodctl.serving.perspective import PerspectiveApp
except ImportError as error:
    if (error.name or "").split(".")[0] not in {"starlette", "uvicorn"}:
        raise
    raise MissingDependency(f"Serving needs the package {error.name}.", hint="pip install 'goodctl[serve]'") from error


def open_server(
    name: str,
    options: ScorerOptions,
    choice: ServeChoice,
    report: Report = silent,
    *,
    attributes: tuple[str, ...] | None = None,
) -> PerspectiveServer:
    """Listen, and open a scorer by its name; what comes meanwhile waits.

    Args:
        name: As ``--scorer`` takes it.
        options: For the scorer; its attributes are not looked at.
        choice: Where the server listens, and what it takes.
        report: Told of opening and end.
        attributes: What may be asked for; None gives all that a classifier has, and toxicity of other scorers.

    Raises:
        GoodctlError: The address cannot be had, or what the scorer finds wrong.
    """
    listening = listen(choice)
    try:
        report(Progress("opening the scorer"))
        scorer = _opened(name, options, attributes)
        report(Progress("opening the scorer", finished=True))
    except BaseException:
        listening.close()
        raise
    return PerspectiveServer(scorer, listening, choice, report)


def _opened(name: str, options: ScorerOptions, attributes: tuple[str, ...] | None) -> Scorer:
    kind, _, argument = name.partition(":")
    if kind == "hf" and argument and attributes is None:
        from goodctl.scoring import classifier  # torch, which no other scorer needs

        # Which attributes a classifier has is known when its labels are: no list could be right for all of them.
        return classifier.open_scorer(argument, options, all_attributes=True)
    return open_scorer(name, replace(options, attributes=attributes or (TOXICITY,)))


class PerspectiveServer:
    """A server that listens already; ``run`` answers.

    Attributes:
        url: Where it is found, without a slash at its end.
        is_open: Whether other machines may use it without a key.

    Args:
        scorer: Closed when the server ends.
        listening: As ``listen`` gives it; closed then too.
        choice: What it takes.
        report: Told of its end, and where the scorer fails.
    """

    def __init__(self, scorer: Scorer, listening: socket.socket, choice: ServeChoice, report: Report = silent) -> None:
        self.scorer, self.choice = scorer, choice
        self._socket = listening
        host, port = listening.getsockname()[:2]
        address = ipaddress.ip_address(host)
        self.url = _url(socket.gethostname() if address.is_unspecified else host, port)
        self.is_open = not address.is_loopback and choice.key is None
        self._app = PerspectiveApp(scorer, choice, report)
        self._server = _Server(self._app, choice, report)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "url": self.url,
            "scorer": self.scorer.identity.to_dict(),
            "attributes": list(self.scorer.attributes_for(self.choice.language)),
            "language": self.choice.language,
            "key": self.choice.key is not None,
        }

    def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Answer until a signal or ``stop``.

        Args:
            ready: Called once the server answers and heeds signals.

        Returns:
            How many requests were answered.

        Raises:
            Interrupted: A second signal did not want to wait for the answers.
        """
        self._server.ready = ready
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.scorer.close()
        if self._server.force_exit:
            raise Interrupted("Stopped at once.", hint="The requests that were open got no answer; send them again.")
        return self._app.metrics.requests.total()

    def stop(self) -> None:
        """Refuse what comes, answer what was taken, and let ``run`` return; from any thread."""
        self._server.leave()


class _Server(uvicorn.Server):
    def __init__(self, app: PerspectiveApp, choice: ServeChoice, report: Report) -> None:
        config = uvicorn.Config(
            app.asgi(),
            http=timed(choice.head_timeout_s),
            limit_concurrency=choice.connections,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,  # addresses may hold a key
            server_header=False,
            timeout_keep_alive=30,
        )
        super().__init__(config)
        self.ready: Callable[[], None] = lambda: None
        self._app, self._report = app, report

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    def leave(self) -> None:
        self._app.closing = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Catch signals without raising them again at the end: to be asked to leave is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave in peace the first time, at once the second."""
        del sig, frame
        if self.should_exit:
            # Every open request would bring its traceback, which says no more than that it was stopped.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
            self.force_exit = True
        else:
            waiting = self._app.metrics.waiting
            still = f"{waiting:,} to be answered first; once more to stop at once" if waiting else "nothing is open"
            self._report(Progress("", note=f"stopping: {still}"))
            self.leave()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(choice: ServeChoice) -> socket.socket:
    """A socket that takes connections.

    Raises:
        UsageError: The host is not one of this machine.
        ConflictError: The port is taken.
        ServiceError: This user may not listen there.
    """
    where = f"{choice.host}:{choice.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            choice.host, choice.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {choice.host!r} is no address.", hint="Use 127.0.0.1, or 0.0.0.0 for all.") from error
    try:
        return socket.create_server(address[:2], family=family, backlog=1024)
    except PermissionError as error:
        raise ServiceError(f"This user may not listen on {where}.", hint="Use a --port above 1023.") from error
    except OSError as error:
        if error.errno is not None and "in use" in str(error.strerror):
            raise ConflictError(
                f"Something listens on {where} already.", hint=f"Choose another: --port {choice.port + 1}"
            ) from error
        raise UsageError(
            f"goodctl cannot listen on {where}: {error.strerror}.", hint="Use a --host of this machine."
        ) from error
