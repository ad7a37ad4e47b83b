from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from goodctl.serving.metrics import TEXTS, Histogram, Metrics

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z]+="[^"]*"\})? [-+0-9.e]+$')


@given(st.lists(st.floats(0, 1000, allow_nan=False)))
def test_a_bucket_counts_what_lies_at_or_below_its_bound(values: list[float]) -> None:
    histogram = Histogram(TEXTS)
    for value in values:
        histogram.observe(value)
    lines = list(histogram.lines("h"))
    for bound, line in zip(TEXTS, lines, strict=False):
        assert line == f'h_bucket{{le="{bound}"}} {sum(value <= bound for value in values)}'
    assert lines[len(TEXTS)] == f'h_bucket{{le="+Inf"}} {len(values)}'
    assert lines[-1] == f"h_count {len(values)}"
    assert histogram.total == sum(values)


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.requests.update({200: 3, 429: 1})
    metrics.outcomes["scored"] = 3
    metrics.seconds.observe(0.02)
    text = metrics.text(cut=7)
    assert text.endswith("\n")
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    for line in text.splitlines():
        if not line.startswith("#"):
            assert SAMPLE.match(line), line
            name = re.sub(r"(_bucket|_sum|_count)?(\{.*)? .*$", "", line)
            assert name in kinds
    assert 'goodctl_requests_total{code="429"} 1' in text
    assert "goodctl_texts_cut_total 7" in text
    assert "goodctl_texts_cut_total" not in metrics.text()
