"""The scorer against a server over sockets, by HTTP/1.1 and HTTP/2: all that a scorer must do, connections, faults."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from goodctl.errors import ServiceError, UsageError
from goodctl.scoring.perspective import PerspectiveScorer, Surroundings
from goodctl.scoring.perspective.backoff import Backoff
from goodctl.scoring.protocol import NotScored, Request, Scored, Scorer, ScorerOptions
from tests.fakes.perspective_protocol import score
from tests.fakes.perspective_server import KEY, Faults, PerspectiveServer
from tests.scoring.contract import ScorerContract
from tests.scoring.perspective.asked import texts

QUICK = Backoff(tries=30, first_s=0.01, most_s=0.02)


def connected(server: PerspectiveServer, rate: float = 1000, *, http2: bool = False) -> PerspectiveScorer:
    transport = httpx.AsyncHTTPTransport(http1=False, http2=True) if http2 else None
    return PerspectiveScorer(ScorerOptions(base_url=server.url, rate=rate), KEY, Surroundings(transport, backoff=QUICK))


@pytest.fixture(params=[False, True], ids=["1.1", "2"])
def http2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class TestPerspective(ScorerContract):
    foreign = "tlh"
    most_held = 40

    @pytest.fixture
    def scorer(self, http2: bool) -> Iterator[Scorer]:
        with PerspectiveServer() as server:
            scorer = connected(server, 10, http2=http2)
            # As many as at 10 queries a second are held; sent faster, so that this takes no minutes.
            scorer._allowance.turns = 1000
            yield scorer
            scorer.close()


def test_every_text_has_its_own_score(http2: bool) -> None:
    with PerspectiveServer() as server:
        scorer = connected(server, http2=http2)
        found = dict(scorer.outcomes(texts(100)))
        scorer.close()
    assert found == {request: Scored({"toxicity": score(request.text)}) for request in texts(100)}
    assert {each.http for each in server.arrivals} == {"2" if http2 else "1.1"}


def test_connections_are_used_again(http2: bool) -> None:
    with PerspectiveServer() as server:
        scorer = connected(server, http2=http2)
        for request in texts(10):  # one after another
            list(scorer.outcomes([request]))
        scorer.close()
    assert len(server.arrivals) == 10
    assert {each.connection for each in server.arrivals} == {1}


def test_faults_leave_no_gaps(http2: bool) -> None:
    # A connection of HTTP/2 that drops takes all its requests with it.
    count, dropped = (50, 0.05) if http2 else (120, 0.1)
    faults = Faults(refused=0.1, retry_after="0", broken=0.1, dropped=dropped, slow=0.1, slow_s=0.05, seed=5)
    with PerspectiveServer(faults) as server:
        scorer = connected(server, http2=http2)
        found = dict(scorer.outcomes(texts(count)))
        scorer.close()
    assert found == {request: Scored({"toxicity": score(request.text)}) for request in texts(count)}
    fates = Counter(each.fate for each in server.arrivals)
    assert fates.keys() == {"scored", "refused", "broken", "dropped"}
    again = {text for text, count in Counter(each.text for each in server.arrivals).items() if count > 1}
    failed = {each.text for each in server.arrivals if each.fate != "scored"}
    assert again == failed or http2


def test_no_second_at_the_server_sees_more_than_the_rate() -> None:
    with PerspectiveServer(Faults(refused=0.05, retry_after=None, broken=0.1, seed=1)) as server:
        scorer = connected(server, 15)
        list(scorer.outcomes(texts(40)))
        scorer.close()
    arrivals = sorted(each.at for each in server.arrivals)
    # The way through a busy machine takes its time: what is promised at sending holds here within a tenth.
    most = max(bisect.bisect_right(arrivals, at + 0.9) - number for number, at in enumerate(arrivals))
    assert most <= 15


def test_what_the_server_does_not_know() -> None:
    with PerspectiveServer() as server:
        scorer = PerspectiveScorer(
            ScorerOptions(base_url=server.url, rate=1000, attributes=("flirtation",)), KEY, Surroundings(backoff=QUICK)
        )
        ((_, outcome),) = scorer.outcomes([Request("déjà vu", None)])
        scorer.close()
    assert isinstance(outcome, NotScored)
    assert outcome.reason == "language"


@pytest.mark.parametrize("disabled", [False, True])
def test_a_key_that_is_not_accepted(disabled: bool) -> None:
    with PerspectiveServer(key=KEY if disabled else "another", disabled=disabled) as server:
        scorer = connected(server, 10)
        with pytest.raises(UsageError, match="does not accept the key"):
            list(scorer.outcomes(texts(500)))
        scorer.close()
    assert len(server.arrivals) <= 40


def test_a_server_that_is_gone() -> None:
    with PerspectiveServer() as server:
        pass
    scorer = connected(server)
    with pytest.raises(ServiceError, match="cannot be reached"):
        list(scorer.outcomes(texts(50)))
    scorer.close()


def test_an_address_without_the_service() -> None:
    with PerspectiveServer() as server:
        scorer = PerspectiveScorer(ScorerOptions(base_url=f"{server.url}/elsewhere", rate=1000), KEY)
        with pytest.raises(ServiceError, match="no Perspective API"):
            list(scorer.outcomes(texts(1)))
        scorer.close()
