"""Where a server listens, and how it ends."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from goodctl.errors import ConflictError, Interrupted, MissingDependency, UsageError
from goodctl.progress import Progress
from goodctl.scoring.protocol import ScorerOptions
from goodctl.serving.choice import ServeChoice
from goodctl.serving.perspective import PerspectiveApp
from goodctl.serving.running import PerspectiveServer, listen, open_server
from tests.serving.serving import PATH, HeldScorer, asking, running


def test_what_was_taken_is_answered_before_the_server_leaves() -> None:
    scorer = HeldScorer()
    choice = ServeChoice(port=0, wait_s=0)
    server = PerspectiveServer(scorer, listen(choice), choice)
    answered: list[int] = []
    thread = threading.Thread(target=lambda: answered.append(server.run()))
    thread.start()
    with ThreadPoolExecutor(1) as clients:
        scorer.go.clear()
        taken = clients.submit(httpx.post, server.url + PATH, json=asking("a"), timeout=30)
        assert scorer.busy.wait(30)
        server.stop()
        assert not scorer.closed
        scorer.go.set()
        assert taken.result().status_code == 200
    thread.join(30)
    assert answered == [1]
    assert scorer.closed
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/healthz")


def test_what_comes_while_it_ends_is_refused() -> None:
    scorer = HeldScorer()
    app = PerspectiveApp(scorer, ServeChoice())

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        app.closing = True
        transport = httpx.ASGITransport(app.asgi())
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post(PATH, json=asking("a")), await client.get("/healthz")

    refused, health = asyncio.run(ask())
    assert (refused.status_code, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert refused.headers["retry-after"] == "1"
    assert (health.status_code, health.json()["status"]) == (503, "closing")
    assert not scorer.batches


def test_a_server_that_no_longer_scores_says_so_and_leaves_nobody_waiting() -> None:
    scorer = HeldScorer()
    app = PerspectiveApp(scorer, ServeChoice(wait_s=0))

    async def ask() -> tuple[httpx.Response, ...]:
        asgi = app.asgi()
        transport = httpx.ASGITransport(asgi)
        async with (
            asgi.router.lifespan_context(asgi),
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            healthy = await client.get("/healthz")
            scorer.go.clear()
            waiting = [asyncio.create_task(client.post(PATH, json=asking(text))) for text in ("a", "b")]
            while app.metrics.waiting < 2 or not scorer.busy.is_set():
                await asyncio.sleep(0)
            assert app._collector is not None
            assert app._collector._task is not None
            app._collector._task.cancel()
            answers = [await each for each in waiting]
            scorer.go.set()
            return healthy, *answers, await client.post(PATH, json=asking("c")), await client.get("/healthz")

    healthy, *refused, sick = asyncio.run(asyncio.wait_for(ask(), 30))
    assert (healthy.status_code, healthy.json()["status"]) == (200, "ok")
    assert [each.status_code for each in refused] == [503] * 3
    assert (sick.status_code, sick.json()["status"]) == (503, "failed")


def test_a_second_signal_does_not_wait(capfd: pytest.CaptureFixture[str]) -> None:
    scorer, notes = HeldScorer(), list[Progress]()
    choice = ServeChoice(port=0, wait_s=0)
    server = PerspectiveServer(scorer, listen(choice), choice, notes.append)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            server.run()
        except Interrupted as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with ThreadPoolExecutor(1) as clients:
        scorer.go.clear()
        open_request = clients.submit(httpx.post, server.url + PATH, json=asking("a"), timeout=30)
        assert scorer.busy.wait(30)
        for _ in range(2):
            server._server.handle_exit(signal.SIGTERM, None)
        thread.join(30)
        scorer.go.set()
        with contextlib.suppress(httpx.HTTPError):  # whether the last bytes still reach the client is chance
            assert open_request.result().status_code == 500
    assert len(ended) == 1
    assert "1 to be answered first" in str(notes[0].note)
    assert capfd.readouterr() == ("", "")


def test_addresses_that_cannot_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=str(port)) as caught:
            listen(ServeChoice(port=port))
        assert f"--port {port + 1}" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no address"):
        listen(ServeChoice(host="no such host"))
    with pytest.raises(UsageError, match="cannot listen"):
        listen(ServeChoice(host="192.0.2.1", port=0))  # of a network for documentation: never this machine's


def test_a_scorer_that_cannot_be_opened_frees_the_port() -> None:
    free = ServeChoice(port=0)
    with pytest.raises(UsageError, match="no scorer"):
        open_server("nosuch", ScorerOptions(), free)
    with listen(ServeChoice(port=0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(UsageError):
        open_server("nosuch", ScorerOptions(), ServeChoice(port=port))
    listen(ServeChoice(port=port)).close()


def test_open_to_others() -> None:
    with running(HeldScorer()) as server:
        assert not server.is_open
    with running(HeldScorer(), host="0.0.0.0") as server:
        assert server.is_open
        assert "0.0.0.0" not in server.url
    with running(HeldScorer(), host="0.0.0.0", key="k") as server:
        assert not server.is_open


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"port": -1}, "--port -1"),
        ({"port": 65_536}, "--port 65536"),
        ({"max_body_bytes": 10}, "--max-body 10"),
        ({"queue": 0}, "--queue 0"),
        ({"batch": 0}, "--batch 0"),
        ({"wait_s": float("nan")}, "--wait-ms nan"),
    ],
)
def test_choices_that_make_no_sense(choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ServeChoice(**choice)


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == package or name.startswith(f"{package}."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **more)

    for name in list(sys.modules):
        if name.startswith("goodctl.serving.") or name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency) as caught:
        import goodctl.serving.running  # noqa: F401
    assert caught.value.hint == "pip install 'goodctl[serve]'"
