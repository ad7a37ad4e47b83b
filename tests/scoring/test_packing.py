from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from goodctl.scoring.packing import pack, windows
from goodctl.scoring.protocol import Request


@given(st.lists(st.integers(1, 70)), st.integers(1, 200), st.none() | st.integers(1, 5))
def test_batches(lengths: list[int], budget: int, most_rows: int | None) -> None:
    batches = pack(lengths, budget, most_rows)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget
        assert most_rows is None or len(batch) <= most_rows
    ordered = [lengths[place] for batch in batches for place in batch]
    assert ordered == sorted(lengths, reverse=True)


def test_little_is_padding() -> None:
    lengths = [3 + number % 200 for number in range(3000)]
    batches = pack(lengths, 2048)
    positions = sum(len(batch) * lengths[batch[0]] for batch in batches)
    assert sum(lengths) / positions > 0.96
    assert len(batches) < 2 * sum(lengths) / 2048 + 2, "batches stay at least half full"


@given(st.lists(st.text(max_size=9)), st.integers(1, 7), st.integers(1, 30))
def test_windows(texts: list[str], most: int, characters: int) -> None:
    requests = [Request(text) for text in texts]
    found = list(windows(iter(requests), most, characters))
    assert [request for window in found for request in window] == requests
    for window in found:
        assert 0 < len(window) <= most
        assert sum(len(request.text) for request in window[:-1]) < characters


def test_windows_take_no_more_than_they_need() -> None:
    taken = 0

    def source() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield Request("a")

    found = windows(source(), 3)
    next(found)
    assert taken == 3
