"""The HTTP server's answers: ``comments:analyze`` as the Perspective API gives them, health, metrics, discovery."""

from __future__ import annotations

import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from goodctl.progress import Report, silent
from goodctl.scoring.protocol import Scorer
from goodctl.serving.analysis import answer, read
from goodctl.serving.choice import ServeChoice
from goodctl.serving.collecting import Collector
from goodctl.serving.discovery import NAME, VERSION, document
from goodctl.serving.intake import Intake
from goodctl.serving.metrics import MEDIA_TYPE, Metrics
from goodctl.serving.refusals import RefusedError, forbidden, unavailable

ANALYZE = f"/{VERSION}/comments:analyze"


class _Json(JSONResponse):
    """JSON in ASCII, which can write a lone surrogate where UTF-8 cannot."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class PerspectiveApp:
    """The application, and what it knows.

    Attributes:
        metrics: What it has done.
        closing: Whether it ends: what comes now is refused, what was taken is answered.
    """

    def __init__(self, scorer: Scorer, choice: ServeChoice, report: Report = silent) -> None:
        self.metrics = Metrics()
        self.closing = False
        self._scorer, self._choice = scorer, choice
        self._report, self._intake = report, Intake(choice)
        self._collector: Collector | None = None

    def asgi(self) -> Starlette:
        """What an ASGI server runs."""
        return Starlette(
            routes=[
                Route(ANALYZE, self._analyze, methods=["POST"]),
                Route("/healthz", self._health),
                Route("/metrics", self._measured),
                Route("/$discovery/rest", self._discovery),
                Route(f"/discovery/v1/apis/{NAME}/{{version}}/rest", self._discovery),
            ],
            exception_handlers={RefusedError: _refused, HTTPException: _not_found, Exception: _fault},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        choice = self._choice
        self._collector = Collector(
            self._scorer,
            self.metrics,
            queue=choice.queue,
            batch=choice.batch,
            wait_s=choice.wait_s,
            report=self._report,
        )
        self._collector.start()
        try:
            yield
        finally:
            await self._collector.stop()

    async def _analyze(self, request: Request) -> Response:
        began = time.perf_counter()
        try:
            response = await self._answered(request)
        except RefusedError as refused:
            response = _refused(request, refused)
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it; the number is the custom
        except Exception:
            self.metrics.requests[500] += 1
            raise
        self.metrics.requests[response.status_code] += 1
        self.metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def _answered(self, request: Request) -> Response:
        self._check_key(request)
        if self.closing:
            raise unavailable("The server is shutting down.")
        if self._collector is None or not self._collector.is_working:
            raise unavailable("The server no longer scores; its own output says more.")
        body = await self._intake.body(request)
        asked = read(body, self._scorer.attributes_for, self._choice.language)
        with self._collector.place():
            outcome = await self._collector.score(asked.request)
        return _Json(answer(asked, outcome))

    def _check_key(self, request: Request) -> None:
        if self._choice.key is None:
            return
        # Starlette reads a header's bytes as Latin-1, a query's as UTF-8.
        given = request.headers.get("x-goog-api-key", "").encode("latin-1")
        given = given or request.query_params.get("key", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._choice.key.encode("utf-8", "surrogateescape")):
            raise forbidden(bool(given))

    async def _health(self, _request: Request) -> Response:
        if self.closing:
            status = "closing"
        else:
            status = "ok" if self._collector is not None and self._collector.is_working else "failed"
        state = {"status": status, "scorer": self._scorer.identity.scorer}
        return _Json(state, status_code=200 if status == "ok" else 503)

    async def _measured(self, _request: Request) -> Response:
        return PlainTextResponse(self.metrics.text(getattr(self._scorer, "cut", None)), media_type=MEDIA_TYPE)

    async def _discovery(self, request: Request) -> Response:
        version = request.path_params.get("version") or request.query_params.get("version") or VERSION
        if version != VERSION:
            raise RefusedError(404, "Discovery document not found: this server has v1alpha1 of commentanalyzer.")
        return _Json(document(str(request.base_url)))


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _Json(error.body, status_code=error.code, headers=error.headers)


def _not_found(request: Request, error: Exception) -> Response:
    """All that Starlette refuses itself: a path or a method that is not there."""
    del error
    return _refused(request, RefusedError(404, f"There is no {request.method} {request.url.path[:200]} here."))


def _fault(request: Request, error: Exception) -> Response:
    del error
    return _refused(request, RefusedError(500, "The server failed; its own output says more."))
