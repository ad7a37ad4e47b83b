"""A real multilingual model: a store of four languages, and neighbours that make sense."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from goodctl.corpus import Corpus
from goodctl.datastore.history import log
from goodctl.datastore.store import Datastore
from goodctl.datastore.summary import summary
from goodctl.errors import IncompatibleError
from goodctl.workflows.build import add, build
from goodctl.workflows.choices import EncodingChoice, Text
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.model_choice import ModelChoice
from goodctl.workflows.neighbors import neighbors
from goodctl.workflows.recall import RecallChoice, recall

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
JAPANESE = [
    "昨日は友達と公園を散歩しました。",
    "この本はとても面白いので、ぜひ読んでみてください。",
    "朝ご飯にパンと卵を食べました。",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for this file, so that the model is unpacked once."""
    return tmp_path_factory.mktemp("model-cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOODCTL_CACHE", str(cache))


@pytest.fixture(scope="module")
def store(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stores")
    japanese = folder / "ja.jsonl"
    japanese.write_text("".join(json.dumps({"text": text, "lang": "ja"}) + "\n" for text in JAPANESE))
    location = str(folder / "nontoxic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOODCTL_CACHE", str(cache))
        model = ModelChoice("gemma3-270m")
        build(location, Text(Corpus((str(EXAMPLES / "en.txt"),), language="en"), label="nontoxic"), model)
        add(location, Text(Corpus((str(EXAMPLES / "fr.txt"),), language="fr"), label="nontoxic"))
        add(location, Text(Corpus((str(EXAMPLES / "es.txt"),), language="es"), label="nontoxic"))
        add(location, Text(Corpus((str(japanese),), language_field="lang"), label="nontoxic"))
    yield location


def test_four_languages(store: str) -> None:
    described = summary(Datastore.open(store))
    assert list(described["languages"]) == ["en", "fr", "es", "ja"]
    assert described["model"]["name"] == "gemma3-270m"
    assert described["dimension"] == 640
    assert described["vocabulary"] == 262144
    assert all(counts["rows"] > 10 for counts in described["languages"].values())
    assert len(log(store)) == 4
    assert len(log(f"{store}@~2")) == 2


def test_rows_spell_the_texts(store: str) -> None:
    from goodctl.models.load import load_tokenizer
    from goodctl.models.source import resolve

    tokenizer = load_tokenizer(resolve("gemma3-270m"))
    opened = Datastore.open(store)
    segment = opened.segments[3]
    values, offsets = opened.read(segment, "values"), opened.read(segment, "offsets")
    texts = [tokenizer.decode(values[first:last]) for first, last in itertools.pairwise(offsets)]
    assert texts == JAPANESE, "with a beginning-of-text token in front, the first token is a row as well"


def test_neighbours_share_their_next_token_far_more_than_chance(store: str) -> None:
    opened = Datastore.open(store)
    keys = np.concatenate([opened.read(segment, "keys") for segment in opened.segments[:3]]).astype(np.float32)
    values = np.concatenate([opened.read(segment, "values") for segment in opened.segments[:3]])
    squares = (keys**2).sum(1)
    distances = squares[:, None] + squares[None] - 2 * keys @ keys.T
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(1)
    agreement = float((values == values[nearest]).mean())
    chance = float((np.bincount(values) / len(values)) @ (np.bincount(values) / len(values)))
    assert agreement > 5 * chance


def test_the_nearest_row_to_a_prompt_is_where_the_text_goes_on(store: str) -> None:
    report = neighbors([store], "Thank you so much for", k=5)
    nearest = report.neighbors[0]
    assert (nearest.token, nearest.language, nearest.line) == (" watering", "en", 4)
    assert nearest.source.endswith("en.txt")
    assert nearest.match_tokens >= 4
    assert nearest.match.endswith("so much for")
    assert [each.distance for each in report.neighbors] == sorted(each.distance for each in report.neighbors)
    assert sum(each.share for each in report.predictions) == pytest.approx(1)
    japanese = neighbors([store], "昨日は友達と公園を散歩", k=3)
    assert japanese.neighbors[0].language == "ja"


def test_codes_of_a_language_added_later_are_as_faithful(store: str, tmp_path: Path) -> None:
    location = str(tmp_path / "coded")
    options = IndexChoice("ivf-sq8", k=64)
    model = ModelChoice("gemma3-270m")
    build(location, Text(Corpus((str(EXAMPLES / "en.txt"),), language="en")), model, index=options)
    french = Text(Corpus((str(EXAMPLES / "fr.txt"),), language="fr"))
    added = add(location, french, index=IndexChoice(codec="new", k=64))
    assert any("new codec for fr" in sentence for sentence in added.index)
    assert len({segment.codes.codec for segment in Datastore.open(location).segments if segment.codes}) == 2
    report = recall([location], RecallChoice(k=64, queries=100))
    high = next(each for each in report.results if each.fidelity == "high")
    assert set(high.languages) == {"en", "fr"}
    for figures in high.languages.values():
        assert figures.tv <= 0.04
        assert figures.recall >= 0.9


def test_layer_output_overflows_float16_and_says_so(store: str, tmp_path: Path) -> None:
    text = Text(Corpus((str(EXAMPLES / "en.txt"),), language="en"))
    model = ModelChoice("gemma3-270m")
    with pytest.raises(IncompatibleError, match="float16 ends at 65,504") as caught:
        build(str(tmp_path / "s"), text, model, encoding=EncodingChoice(key_layer="layer-output"))
    assert caught.value.hint and "--key-dtype float32" in caught.value.hint
    assert not (tmp_path / "s").exists()
    result = build(
        str(tmp_path / "s"), text, model, encoding=EncodingChoice(key_layer="layer-output", key_dtype="float32")
    )
    assert Datastore.open(str(tmp_path / "s")).rows == result.rows
