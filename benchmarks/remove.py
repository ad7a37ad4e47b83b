"""Claim: removing one of six languages takes at most a twentieth of making the store anew, however large the rest is.

    python benchmarks/remove.py
    python benchmarks/remove.py --model gemma3-270m TEXTFILE TEXTFILE TEXTFILE...

Without text: random rows of dimension 576 (float16 keys). Removing is timed against writing the rows of the other five
languages into a new store, and again in a store whose other languages have twice the rows. No model runs: to make a
store anew really costs more, so the share is an upper bound. Everything goes by turns, after what was written before
has reached the disk; the shortest time counts. After each removal the branch is put back, untimed.

With text and --model, a file for each language (the first one's is removed): removing is timed also against encoding
the other files anew, once.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Claim, paragraphs, parser, report
from stores import header, random_rows

from goodctl.corpus import Corpus
from goodctl.datastore.description import SourceInfo
from goodctl.datastore.reference import MAIN
from goodctl.datastore.removal import RemovalResult, remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository, is_store, writer_lock
from goodctl.datastore.segments import Rows
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Addition, Writer
from goodctl.workflows.build import build
from goodctl.workflows.choices import Text
from goodctl.workflows.model_choice import ModelChoice

LANGUAGES = ("en", "fr", "de", "es", "it", "pt")
TARGET = "<= 0.05"

Turn = Callable[[], tuple[float, int]]
"""Does something and gives its seconds and the bytes that it wrote."""


def write_languages(
    store: Path, languages: Mapping[str, Sequence[Rows]], job: str = "languages", sources: Sequence[str] = ("a.txt",)
) -> int:
    """Write rows into a store, a segment for each language, and give the bytes by which it has grown.

    Args:
        store: New, or one that is there.
        languages: Rows of each.
        job: Another one for each addition to a store.
        sources: Names of the files that the rows say they are from.
    """
    location = str(store)
    files = tuple(SourceInfo(number, name, f"{number:064}", 123) for number, name in enumerate(sources))
    addition = Addition("add", f"add {job}", job, None, "fp32", {}, files)
    dimension = next(block.keys.shape[1] for blocks in languages.values() for block in blocks)
    with writer_lock(location, "benchmark"):
        repository = Repository.open(location) if is_store(location) else Repository.create(location)
        before = repository.disk_bytes()
        writer = Writer(repository, header(dimension), addition)
        for language, blocks in languages.items():
            for block in blocks:
                writer.append(language, block)
        results = {"rows": writer.rows, "documents": 0, "languages": writer.languages()}
        writer.finish({"position": {}}, lambda token: f"<{token}>", results)
        return repository.disk_bytes() - before


def removing(store: Path, language: str) -> tuple[float, int]:
    """Remove a language and put the branch back."""
    os.sync()
    started = time.perf_counter()
    result: RemovalResult = remove(str(store), Removal(languages=(language,)))
    seconds = time.perf_counter() - started
    assert result.segments == 1
    assert not result.rewritten
    Repository.open(str(store)).move_branch(MAIN, result.before, expected=result.snapshot)
    return seconds, result.bytes_written


def writing(store: Path, languages: Mapping[str, Sequence[Rows]]) -> tuple[float, int]:
    """Write languages into a new store, and delete it."""
    os.sync()
    started = time.perf_counter()
    written = write_languages(store, languages)
    seconds = time.perf_counter() - started
    shutil.rmtree(store)
    return seconds, written


def shortest(turns: Mapping[str, Turn], repeats: int) -> dict[str, tuple[float, int]]:
    """The shortest time of each, by turns."""
    found: dict[str, tuple[float, int]] = {}
    for _ in range(repeats):
        for name, turn in turns.items():
            taken = turn()
            found[name] = min(found.get(name, taken), taken)
    return found


def without_model(folder: Path, rows: int, dimension: int, repeats: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Random rows: removing, removing where the rest is twice as large, writing the rest."""
    gone, *others = LANGUAGES
    once = {name: random_rows(rows, dimension, seed) for seed, name in enumerate(LANGUAGES)}
    twice = {**{name: random_rows(2 * rows, dimension, seed) for seed, name in enumerate(others, 10)}, gone: once[gone]}
    rest = {name: once[name] for name in others}
    write_languages(folder / "once", once)
    write_languages(folder / "twice", twice)
    turns: dict[str, Turn] = {
        "remove": partial(removing, folder / "once", gone),
        "remove, rest twice": partial(removing, folder / "twice", gone),
        "write the rest": partial(writing, folder / "rest", rest),
    }
    found = shortest(turns, repeats)
    table = _table(found, {name: rows * len(others) * (1 + ("twice" in name)) for name in found}, "write the rest")
    seconds, written = ({name: taken[part] for name, taken in found.items()} for part in (0, 1))
    return table, [
        Claim("remove/write the rest", seconds["remove"] / seconds["write the rest"], TARGET),
        Claim("remove, rest twice/once", seconds["remove, rest twice"] / seconds["remove"], "<= 1.2"),
        Claim("bytes, remove/write the rest", written["remove"] / written["write the rest"], TARGET),
        Claim("bytes, rest twice/once", written["remove, rest twice"] / written["remove"]),
    ]


def with_model(folder: Path, options: Any) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Text: removing, encoding the rest."""
    names = [path.name.partition(".")[0] for path in options.texts]
    model = ModelChoice(options.model, device=options.device, precision=options.precision)
    texts = {"all": options.texts, "rest": options.texts[1:]}
    seconds = {}
    for store, files in texts.items():
        corpus = _corpus(folder / f"{store}.jsonl", files, options.documents, options.seed)
        started = time.perf_counter()
        build(str(folder / store), Text(corpus), model)
        seconds[store] = time.perf_counter() - started
    rest = Datastore.open(str(folder / "rest"))
    found = shortest({"remove (text)": partial(removing, folder / "all", names[0])}, options.repeats)
    found["encode the rest"] = (seconds["rest"], rest.repository.disk_bytes())
    table = _table(found, dict.fromkeys(found, rest.rows), "encode the rest")
    return table, [Claim("remove/encode the rest", found["remove (text)"][0] / seconds["rest"], TARGET)]


def _corpus(path: Path, files: Sequence[Path], documents: int, seed: int) -> Corpus:
    with path.open("w", encoding="utf-8") as stream:
        for file in files:
            for text in paragraphs([file], seed)[:documents]:
                stream.write(json.dumps({"text": text, "language": file.name.partition(".")[0]}) + "\n")
    return Corpus((str(path),), language_field="language")


def _table(found: Mapping[str, tuple[float, int]], rows: Mapping[str, int], whole: str) -> list[dict[str, Any]]:
    return [
        {
            "side": name,
            "rows of the rest": rows[name],
            "seconds": seconds,
            "MB written": written / 1e6,
            "share of the time": seconds / found[whole][0],
        }
        for name, (seconds, written) in found.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument(
        "texts", nargs="*", type=Path, metavar="TEXTFILE", help="one document a line, one language a file"
    )
    options.add_argument("--rows", type=int, default=150_000, help="random ones a language (default: %(default)s)")
    options.add_argument("--dimension", type=int, default=576, help="of a random key (default: %(default)s)")
    options.add_argument("--model", help="encodes the text: alias, folder, .gguf file or hub id")
    options.add_argument("--device", default="cpu", help="default: %(default)s")
    options.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: %(default)s)")
    options.add_argument("--documents", type=int, default=200, help="of each file (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="chooses which documents (default: %(default)s)")
    options.add_argument("--repeats", type=int, default=7, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="on the disk to write to (default: the system's temporary one)")
    chosen = options.parse_args(arguments)
    if bool(chosen.model) != bool(chosen.texts) or len(chosen.texts) == 1:
        options.error("--model and at least two TEXTFILEs go together")

    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        table, claims = without_model(Path(name), chosen.rows, chosen.dimension, chosen.repeats)
        if chosen.model:
            more, promises = with_model(Path(name), chosen)
            table, claims = table + more, claims + promises
    report(chosen, table, claims)


if __name__ == "__main__":
    main()
