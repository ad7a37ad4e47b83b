"""The server over a real socket: answers, refusals, limits, batches of several clients."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from goodctl.progress import Progress
from goodctl.scoring.protocol import NotScored
from tests.serving.serving import PATH, REFUSALS, HeldScorer, asking, running, score


def analyze(url: str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return httpx.post(url + PATH, json=asking(**fields), headers=headers, timeout=30)


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == response.status_code
    return error


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def wait_for(url: str, name: str, value: float) -> None:
    """Ask until a figure is reached; the server answers each time, so this ends or the test's time does."""
    for _ in range(2000):
        if metric(url, name) == value:
            return
    raise AssertionError(f"{name} stays {metric(url, name)}")


def test_an_answer() -> None:
    with running(HeldScorer()) as server:
        response = analyze(server.url, text="twelve signs")
    assert response.status_code == 200
    found = response.json()["attributeScores"]["TOXICITY"]["summaryScore"]
    assert found == {"value": score("twelve signs"), "type": "PROBABILITY"}


def test_refusals_have_the_shape_of_the_service() -> None:
    with running(HeldScorer(REFUSALS)) as server:
        error = error_of(analyze(server.url, text=""))
        assert (error["status"], error["details"][0]["errorType"]) == ("INVALID_ARGUMENT", "COMMENT_EMPTY")
        error = error_of(analyze(server.url, text="is too long"))
        assert error["details"][0]["errorType"] == "COMMENT_TOO_LONG"
        limited = analyze(server.url, text="is at the limit")
        assert (error_of(limited)["status"], limited.headers["retry-after"]) == ("RESOURCE_EXHAUSTED", "1")
        late = analyze(server.url, text="is in time")
        assert (late.status_code, error_of(late)["status"], late.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        for response in (
            httpx.get(server.url + PATH),
            httpx.post(server.url + "/v1/comments:analyze"),
            httpx.get(server.url),
        ):
            assert (response.status_code, error_of(response)["status"]) == (404, "NOT_FOUND")


def test_a_scorer_that_fails_is_reported_without_the_text_and_the_server_stays() -> None:
    notes: list[Progress] = []
    with running(HeldScorer(REFUSALS), notes.append) as server:
        assert error_of(analyze(server.url, text="breaks"))["status"] == "UNAVAILABLE"
        assert analyze(server.url, text="fine").status_code == 200
    assert str(notes[0].note).startswith("the scorer failed: RuntimeError in ")
    assert "breaks" not in str(notes)


def test_a_report_that_nobody_reads_is_no_matter_of_the_clients() -> None:
    def closed(_: Progress) -> None:
        raise BrokenPipeError

    with running(HeldScorer({**REFUSALS, "leaves": SystemExit(1)}), closed) as server:
        for text in ("breaks", "leaves", "breaks"):
            assert error_of(analyze(server.url, text=text))["status"] == "UNAVAILABLE"
        assert analyze(server.url, text="fine").status_code == 200
        assert httpx.get(server.url + "/healthz").status_code == 200


def test_a_lone_surrogate_breaks_no_answer() -> None:
    scorer = HeldScorer({"odd": NotScored("no_number", "No number in \ud800.")})
    with running(scorer) as server:
        for fields in (asking("a", clientToken="\ud800"), asking("a", "X\ud800"), asking("a", languages=["\ud800"])):
            response = httpx.post(server.url + PATH, content=json.dumps(fields))
            assert (response.status_code, error_of(response)["status"]) == (400, "INVALID_ARGUMENT")
        response = analyze(server.url, text="odd")
        assert (response.status_code, error_of(response)["status"]) == (500, "INTERNAL")
        assert "\ud800" in error_of(response)["message"]


def test_a_key_where_one_is_set() -> None:
    secret = "open sesame é"
    with running(HeldScorer(), key=secret) as server:
        for headers, query in (({}, ""), ({"x-goog-api-key": "other"}, ""), ({}, "?key=other")):
            response = httpx.post(server.url + PATH + query, json=asking("a"), headers=headers)
            error = error_of(response)
            assert (response.status_code, error["status"]) == (403, "PERMISSION_DENIED")
            assert "other" not in response.text
            assert secret not in response.text
        by_query = httpx.post(server.url + PATH, params={"key": secret}, json=asking("a"))
        assert by_query.status_code == 200
        by_header = httpx.post(server.url + PATH, headers=[(b"x-goog-api-key", secret.encode())], json=asking("a"))
        assert by_header.status_code == 200
        assert secret not in repr(server.choice)
    with running(HeldScorer()) as server:
        assert httpx.post(server.url + PATH, params={"key": "any"}, json=asking("a")).status_code == 200


def pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 1024


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("size", [3, 1000])
def test_a_body_that_is_too_large(stated: bool, size: int) -> None:
    scorer = HeldScorer()
    with running(scorer, max_body_bytes=2048) as server:
        content: Any = b" " * 1024 * size if stated else pieces(size)
        try:
            response = httpx.post(server.url + PATH, content=content)
        except httpx.HTTPError:
            assert size == 1000, "only who sends far too much may be cut off while sending"
        else:
            assert (response.status_code, error_of(response)["message"]) == (
                413,
                "The request has more than 2048 bytes.",
            )
        assert analyze(server.url, text="small").status_code == 200
        assert metric(server.url, 'goodctl_requests_total{code="413"}') == 1
    assert len(scorer.batches) == 1


def test_a_body_that_never_comes() -> None:
    with running(HeldScorer(), body_timeout_s=0.05) as server:
        host, port = server.url.removeprefix("http://").split(":")
        client = http.client.HTTPConnection(host, int(port), timeout=30)
        client.putrequest("POST", PATH)
        client.putheader("Content-Length", "10")
        client.endheaders()
        response = client.getresponse()
        assert response.status == 408
        assert json.loads(response.read())["error"]["status"] == "DEADLINE_EXCEEDED"
        client.close()


def connected(url: str, head: bytes) -> socket.socket:
    """A connection over which the beginning of a request was sent."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(head)
    return connection


def test_bodies_that_never_come_take_nobodys_place() -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n".encode()
    with running(HeldScorer(), queue=1) as server:
        slow = [connected(server.url, head) for _ in range(3)]
        for connection in slow:
            assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # its body is being read
        assert analyze(server.url, text="fine").status_code == 200
        for connection in slow:
            connection.close()


def test_more_of_bodies_than_there_is_room_for() -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 1024\r\nExpect: 100-continue\r\n\r\n".encode()
    with running(HeldScorer(), queue=1, max_body_bytes=1024) as server:
        with connected(server.url, head) as slow:
            assert slow.recv(1000).startswith(b"HTTP/1.1 100")
            slow.sendall(b" " * 1000)
            for _ in range(2000):  # until those bytes are there
                refused = analyze(server.url, text="fine")
                if refused.status_code != 200:
                    break
            assert (refused.status_code, error_of(refused)["status"]) == (429, "RESOURCE_EXHAUSTED")
            slow.sendall(b" " * 24)
            assert b" 400 " in slow.recv(1000)
        assert analyze(server.url, text="fine").status_code == 200


@pytest.mark.parametrize("head", [b"", b"POST /v1alpha1/comm", b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\nGET /he"])
def test_a_head_that_never_comes_ends_its_connection_alone(head: bytes) -> None:
    scorer = HeldScorer()
    with running(scorer, head_timeout_s=0.5) as server, ThreadPoolExecutor(1) as clients:
        scorer.go.clear()
        patient = clients.submit(analyze, server.url, text="patient")
        assert scorer.busy.wait(30)
        with connected(server.url, head) as slow:
            while slow.recv(1000):
                pass  # an answer to what was whole, then the end
        scorer.go.set()
        assert patient.result().status_code == 200


def test_connections_have_a_limit() -> None:
    with running(HeldScorer(), queue=1) as server:
        many = [connected(server.url, b"") for _ in range(server.choice.connections)]
        assert httpx.get(server.url + "/healthz").status_code == 503
        for connection in many:
            connection.close()


def test_texts_of_several_clients_are_scored_together_and_equal_ones_once() -> None:
    scorer = HeldScorer()
    with running(scorer) as server, ThreadPoolExecutor(9) as clients:
        scorer.go.clear()
        first = clients.submit(analyze, server.url, text="first")
        assert scorer.busy.wait(30)
        texts = ["x" * (number // 2 + 1) for number in range(8)]
        others = [clients.submit(analyze, server.url, text=text) for text in texts]
        wait_for(server.url, "goodctl_queue_length", 9)
        assert httpx.get(server.url + "/healthz").json() == {"status": "ok", "scorer": "held"}
        scorer.go.set()
        assert first.result().status_code == 200
        for text, other in zip(texts, others, strict=True):
            assert other.result().json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == score(text)
        assert metric(server.url, "goodctl_batch_texts_count") == 2
        assert metric(server.url, 'goodctl_texts_total{outcome="scored"}') == 9
        assert metric(server.url, "goodctl_queue_length") == 0
    assert [len(batch) for batch in scorer.batches] == [1, 4]
    assert scorer.closed


def test_a_batch_has_a_limit_and_a_full_one_does_not_wait() -> None:
    scorer = HeldScorer()
    with running(scorer, batch=2, wait_s=600.0) as server, ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda number: analyze(server.url, text="x" * (number + 1)), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert [len(batch) for batch in scorer.batches] == [2, 2]


def test_a_full_queue() -> None:
    scorer = HeldScorer()
    with running(scorer, queue=2) as server, ThreadPoolExecutor(2) as clients:
        scorer.go.clear()
        taken = [clients.submit(analyze, server.url, text=text) for text in ("one", "three")]
        wait_for(server.url, "goodctl_queue_length", 2)
        refused = analyze(server.url, text="two")
        error = error_of(refused)
        assert (refused.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
        assert refused.headers["retry-after"] == "1"
        scorer.go.set()
        assert [answer.result().status_code for answer in taken] == [200, 200]
        assert analyze(server.url, text="two").status_code == 200
    assert "two" not in [request.text for batch in scorer.batches[:-1] for request in batch]
