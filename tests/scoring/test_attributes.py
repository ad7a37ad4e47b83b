from __future__ import annotations

import pytest

from goodctl.errors import UsageError
from goodctl.scoring.attributes import first, parse_attributes, refuse_unknown


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("TOXICITY", ("toxicity",)),
        ("Toxicity, insult ,TOXICITY", ("toxicity", "insult")),
        ("severe_toxicity,", ("severe_toxicity",)),
    ],
)
def test_any_case_and_each_once(written: str, names: tuple[str, ...]) -> None:
    assert parse_attributes(written) == names
    assert parse_attributes(written.split(",")) == names


@pytest.mark.parametrize("written", ["", " , ", "toxi city", "text", "REASON", "toxicity_uncalibrated", "é", "1st"])
def test_what_is_no_attribute_is_refused(written: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_attributes(written)
    assert raised.value.hint is not None
    assert "--attributes" in raised.value.hint


def test_unknown_ones_are_refused_with_near_ones_or_all() -> None:
    refuse_unknown(["toxicity"], ["toxicity", "insult"], "s")
    with pytest.raises(UsageError, match="s has no attribute 'insults'") as near:
        refuse_unknown(["toxicity", "insults"], ["toxicity", "insult"], "s")
    assert near.value.hint == "Did you mean: insult"
    with pytest.raises(UsageError) as far:
        refuse_unknown(["xyz"], ["toxicity", "insult"], "s")
    assert far.value.hint == "It has: toxicity, insult"


def test_toxicity_is_what_counts_where_it_is_asked_for() -> None:
    assert first(("insult", "toxicity")) == "toxicity"
    assert first(("insult", "threat")) == "insult"
