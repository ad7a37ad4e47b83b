"""The key is seen by the service, and by nobody else."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest

from goodctl.errors import GoodctlError
from goodctl.scoring.perspective import PerspectiveScorer, Surroundings
from goodctl.scoring.perspective.answers import Asked
from goodctl.scoring.perspective.backoff import Backoff
from goodctl.scoring.perspective.connections import Connections
from goodctl.scoring.protocol import Request, ScorerOptions
from tests.fakes import perspective_protocol as protocol
from tests.fakes.perspective_server import KEY, Faults, PerspectiveServer
from tests.scoring.perspective.asked import Answering, refused


def shown(error: BaseException) -> str:
    """All that a traceback, a log or a debugger's first look would show of an error and its causes."""
    seen = []
    found: BaseException | None = error
    while found is not None:
        seen += [str(found), repr(found), str(vars(found)), str(getattr(found, "hint", ""))]
        found = found.__cause__ or found.__context__
    return "\n".join([*seen, *traceback.format_exception(error)])


@pytest.mark.parametrize("key", ["hush\nkey", "hush-ké", "hush key", "hush\x00key"])
def test_keys_that_no_header_takes_are_refused_unseen(key: str) -> None:
    with pytest.raises(GoodctlError) as caught:
        PerspectiveScorer(ScorerOptions(), key)
    assert "hush" not in shown(caught.value)


@pytest.mark.parametrize("answer", [protocol.BAD_KEY, protocol.error(403, "X", f"The key {KEY} is bad."), (500, {})])
def test_errors_show_no_key(answer: tuple[int, dict[str, object]]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if answer[0] == 500:
            raise httpx.LocalProtocolError(f"Illegal header value b'{KEY}'", request=request)
        return refused(answer)

    answering = Answering(handler, key=KEY)
    with pytest.raises(GoodctlError) as caught:
        answering.outcome()
    assert KEY not in shown(caught.value)


def test_what_an_answer_is_read_against_hides_it() -> None:
    asked = Asked(("toxicity",), detected=False, raw=False, host="example.org", secret=KEY)
    assert KEY not in repr(asked)
    assert KEY not in str([asked])


@pytest.mark.parametrize("http2", [False, True])
def test_no_log_shows_the_key(http2: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in {"httpx", "httpcore", "asyncio", "filelock"}:
            caplog.set_level(logging.DEBUG, logger=name)
    with PerspectiveServer(Faults(broken=0.3, dropped=0.1, retry_after=None)) as server:
        transport = httpx.AsyncHTTPTransport(http1=not http2, http2=http2)
        options = ScorerOptions(base_url=server.url, rate=1000)
        scorer = PerspectiveScorer(options, KEY, Surroundings(transport, backoff=Backoff(first_s=0.01, most_s=0.02)))
        list(scorer.outcomes(Request(f"text {number}", "en") for number in range(20)))
        shapes = [repr(scorer), str(scorer), str(vars(scorer)["_asker"])]
        scorer.close()
    assert server.headers[0]["x-goog-api-key"] == KEY
    assert {each.http for each in server.arrivals} == {"2" if http2 else "1.1"}
    logged = [f"{record.name}: {record.getMessage()} {record.args!r}" for record in caplog.records]
    assert any(line.startswith("httpcore") for line in logged)
    for line in [*logged, *shapes]:
        assert KEY not in line
        assert not line.startswith("hpack")


def test_a_client_does_not_hold_it_in_its_headers() -> None:
    with Connections(KEY).client() as client:
        assert KEY not in f"{client.headers!r}{client!r}{client.auth!r}"
        request = client.build_request("POST", "http://127.0.0.1:1/x")
        assert KEY not in f"{request!r}{request.headers!r}"
