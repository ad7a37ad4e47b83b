"""Claims: the Perspective client reaches 0.98 of the allowed rate, no second sees more than it, and memory stays flat.

    python benchmarks/perspective_rate.py

Against a local server in a process of its own. "At sending" is when a request is handed to its connection, "at the
server" when its head was read there: the second depends on how busy the machine is, since server and client share it.
Share: requests within the time, counted from the first one, by rate times time. With faults: 10 % refused (429), 5 %
answered by 500, 5 % of connections dropped, 5 % answered after a second; there the share is no claim, since refusals
slow the client down on purpose. Memory: what a process has more after many texts than after a tenth, without a server.
"""

from __future__ import annotations

import bisect
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Claim, parser, report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from goodctl.scoring.perspective import PerspectiveScorer  # noqa: E402
from goodctl.scoring.protocol import Request, Scored, ScorerOptions  # noqa: E402
from tests.fakes.perspective_server import KEY, Faults, SeparateServer  # noqa: E402

FAULTS = Faults(refused=0.1, retry_after="1", broken=0.05, dropped=0.05, slow=0.05, slow_s=1.0, delay_s=0.05, seed=0)
MEMORY = """
import itertools, resource, sys
from goodctl.scoring.protocol import Request
from tests.scoring.perspective.asked import Answering

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Rss:")) * 1024

answering, texts = Answering(rate=1000), int(sys.argv[1])
answering.requests = answering.moments = answering.clock.slept = type("Nothing", (list,), {"append": lambda *_: None})()
outcomes = answering.scorer.outcomes(Request(f"text {n}", "en") for n in range(texts))
for done, _ in enumerate(outcomes, start=1):
    if done == max(texts // 10, 1):
        before = resident()
print(resident() - before)
answering.scorer.close()
"""


def most_in_a_second(moments: list[float]) -> int:
    """The largest count in any sliding second."""
    return max(bisect.bisect_right(moments, at + 1) - number for number, at in enumerate(moments))


def measured(rate: float, seconds: float, faults: Faults | None) -> dict[str, Any]:
    """One run at a rate."""
    handed: list[float] = []
    with SeparateServer(faults or Faults(delay_s=0.05)) as server:
        scorer = PerspectiveScorer(ScorerOptions(base_url=server.url, rate=rate), KEY)
        take = scorer._allowance.take

        def taking() -> tuple[int | None, float]:
            turn = take()
            if turn[0] is not None:
                handed.append(time.monotonic())
            return turn

        scorer._allowance.take = taking  # type: ignore[method-assign]  # the moment of sending, as nobody else sees it
        started, texts, scored = time.monotonic(), 0, 0
        # Refusals slow the client down on purpose: with as many texts this would take several times as long.
        count = round(rate * seconds / (4 if faults else 1)) + 1
        for _, outcome in scorer.outcomes(Request(f"text {number}", "en") for number in range(count)):
            texts, scored = texts + 1, scored + isinstance(outcome, Scored)
        elapsed = time.monotonic() - started
        scorer.close()
        arrivals = [each.at for each in server.arrivals()]
    within = bisect.bisect_left(arrivals, arrivals[0] + seconds)
    return {
        "rate": rate,
        "faults": "yes" if faults else "no",
        "texts": texts,
        "scored": scored,
        "requests": len(arrivals),
        "seconds": elapsed,
        "share": within / (rate * min(seconds, elapsed)),
        "most a second, at sending": most_in_a_second(handed),
        "most a second, at the server": most_in_a_second(arrivals),
    }


def grown(texts: int) -> int:
    """Bytes that a process has more after all texts than after a tenth."""
    command = [sys.executable, "-c", MEMORY, str(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return int(done.stdout)


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--rates", type=float, nargs="+", default=[10.0, 100.0], help="queries a second")
    options.add_argument("--seconds", type=float, default=60.0, help="of each run (default: %(default)s)")
    options.add_argument("--memory-texts", type=int, default=20_000, help="default: %(default)s")
    chosen = options.parse_args(arguments)

    table: list[dict[str, Any]] = []
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GOODCTL_CACHE"] = cache  # the pace of this user's own requests stays as it is
        for rate in chosen.rates:
            for faults in (None, FAULTS):
                row = measured(rate, chosen.seconds, faults)
                table.append(row)
                name = f"{rate:g}/s{' with faults' if faults else ''}"
                claims += [
                    Claim(f"{name}: share of the rate", row["share"], None if faults else ">= 0.98"),
                    Claim(f"{name}: most at sending / rate", row["most a second, at sending"] / rate, "<= 1"),
                    Claim(f"{name}: most at the server / rate", row["most a second, at the server"] / rate, "<= 1"),
                    Claim(f"{name}: scored / texts", row["scored"] / row["texts"], ">= 1"),
                ]
    if chosen.memory_texts:
        claims.append(Claim("memory grown, MB", grown(chosen.memory_texts) / 1e6, "<= 10"))
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
