from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset

from goodctl.corpus import Corpus, Document, HubSplit
from goodctl.corpus.hub import call_loader, parse_hub_id
from goodctl.errors import GoodctlError, InputError, NotFoundError, ServiceError, UsageError
from goodctl.progress import Progress


@pytest.mark.parametrize(
    ("text", "dataset", "config", "split"),
    [
        ("hf://imdb:train", "imdb", None, "train"),
        ("hf://owner/name:test", "owner/name", None, "test"),
        ("hf://owner/name/de:train[:10%]", "owner/name", "de", "train[:10%]"),
    ],
)
def test_ids(text: str, dataset: str, config: str | None, split: str) -> None:
    assert parse_hub_id(text) == HubSplit(text, dataset, config, split)


@pytest.mark.parametrize("text", ["hf://", "hf://name", "hf://name:", "hf://:train", "hf://a//b:c", "hf://a/b/c/d:e"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(UsageError, match=f"^{text}: not a dataset id") as caught:
        Corpus((text,)).files()
    assert "hf://OWNER/NAME/CONFIG:SPLIT" in str(caught.value.hint)


def test_rows_become_documents(tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {
        "comment": [{"text": "a", "n": 1}, {"text": None, "n": 2}, {"text": "ö", "n": 3}],
        "lang": ["de", None, "fr"],
        "image": [b"1", b"2", b"3"],
    }
    dataset = Dataset.from_dict(rows)
    asked: list[HubSplit] = []

    def load(hub: HubSplit) -> Dataset:
        asked.append(hub)
        return dataset

    (tmp_path / "a.txt").write_text("file\n")
    name = "hf://owner/name/config:train"
    corpus = Corpus((name, str(tmp_path)), text_field="comment.text", language_field="lang", load_hub=load)
    documents = list(corpus.documents())
    assert documents[:3] == [Document("a", "de", name, 1), Document("", "und", name, 2), Document("ö", "fr", name, 3)]
    assert documents[3].text == "file"
    assert asked == [HubSplit(name, "owner/name", "config", "train")]

    events: list[Progress] = []
    scan = corpus.scan(events.append)
    assert scan.sources[0].sha256 == hashlib.sha256(dataset._fingerprint.encode()).hexdigest()
    assert (scan.sources[0].name, scan.sources[0].documents, scan.documents) == (name, 3, 4)
    assert events[-1].finished

    with pytest.raises(InputError, match=r"^hf://owner/name/config:train: no field 'text'; fields: comment, comment\."):
        list(Corpus((name,), load_hub=load).documents())
    with pytest.raises(InputError, match=r"^hf://owner/name/config:train, row 1: field 'image' is binary"):
        list(Corpus((name,), text_field="image", load_hub=load).documents())


def test_the_real_library_on_a_folder_offline(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    library = functools.partial(load_dataset, cache_dir=str(tmp_path / "cache"))

    def load(hub: HubSplit) -> Any:
        return call_loader(HubSplit(hub.name, str(folder), hub.config, hub.split), library)

    corpus = Corpus(("hf://set:train",), load_hub=load)
    assert [document.text for document in corpus.documents()] == ["a", "b"]
    assert corpus.scan().fingerprint == corpus.scan().fingerprint
    for name in ("hf://set:nosplit", "hf://o/set/noconfig:train"):
        with pytest.raises(NotFoundError, match=f"^{name}: ") as caught:
            Corpus((name,), load_hub=load).scan()
        assert caught.value.hint


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (FileNotFoundError("Dataset 'x' doesn't exist\non the Hub"), NotFoundError),
        (ValueError("BuilderConfig 'x' not found"), NotFoundError),
        (ConnectionError("Couldn't reach the Hub"), ServiceError),
        (RuntimeError(""), ServiceError),
    ],
)
def test_what_goes_wrong_names_the_id(raised: Exception, kind: type[GoodctlError]) -> None:
    def library(*_: object, **__: object) -> None:
        raise raised

    with pytest.raises(kind, match=r"^hf://x:train: ") as caught:
        call_loader(parse_hub_id("hf://x:train"), library)
    assert caught.value.hint
    assert "\n" not in caught.value.message
