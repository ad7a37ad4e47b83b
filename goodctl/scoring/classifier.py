"""Scores from a sequence classifier of transformers: ``hf:MODEL``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from goodctl.errors import UsageError
from goodctl.models.classifier import LoadedClassifier, find_classifier, load_classifier
from goodctl.models.device import is_out_of_memory
from goodctl.models.fingerprint import fingerprint
from goodctl.scoring.attributes import refuse_unknown
from goodctl.scoring.label_map import LabelMap, read_label_map
from goodctl.scoring.label_names import known_map
from goodctl.scoring.languages import entry_for
from goodctl.scoring.packing import pack, windows
from goodctl.scoring.protocol import Failed, Identity, NotScored, Outcome, Request, Scored, ScorerOptions

EMPTY = NotScored("empty", "The text is empty.")
NO_NUMBER = NotScored("no_number", "The classifier gave no number that is a score.")

_SURROGATES = re.compile("[\ud800-\udfff]")  # tokenizers take only what UTF-8 can hold


def open_scorer(argument: str, options: ScorerOptions, *, all_attributes: bool = False) -> ClassifierScorer:
    """Find and load a classifier.

    Args:
        argument: Hub id or folder.
        options: Of these, ``attributes``, ``raw``, ``device``, ``batch_tokens``, ``label_map`` and ``revision``.
        all_attributes: Whether to score all that its labels give, whatever the options say.

    Raises:
        NotFoundError: There is no such model or label map.
        ServiceError: The hub cannot be reached, or refuses.
        IncompatibleError: It is no sequence classifier, or comes as a pickle or with code of its own.
        UsageError: Its labels cannot be mapped, or lack an attribute that is wanted.
        InputError: The label map is none, or not one of this classifier.
    """
    if options.batch_tokens is not None and options.batch_tokens < 1:
        raise UsageError(f"--batch-tokens {options.batch_tokens} is no size.", hint="Use 1 or more.")
    source = find_classifier(argument, options.revision)
    loaded = load_classifier(source, device=options.device or "auto")
    label_map = (
        known_map(argument, loaded.labels, loaded.problem_type)
        if options.label_map is None
        else read_label_map(options.label_map, loaded.labels)
    )
    if all_attributes:
        options = replace(options, attributes=tuple(label_map.attributes))
    refuse_unknown(options.attributes, label_map.attributes.keys(), argument)
    identity = Identity(
        scorer=f"hf:{argument}",
        version=(prints := fingerprint(source, loaded.tokenizer)).short,
        details={
            "fingerprint": prints.to_dict(),
            "revision": source.revision,
            "label_map": label_map.to_dict(),
            "max_tokens": loaded.window,
            "precision": "float32",
        },
    )
    return ClassifierScorer(loaded, label_map, identity, options)


def default_batch_tokens(device: torch.device) -> int:
    """How many positions a batch has where nobody says: to keep a device busy and spare its memory."""
    return 32768 if device.type == "cuda" else 2048


class ClassifierScorer:
    """A loaded classifier as a scorer.

    Attributes:
        cut: How many texts so far were longer than the classifier reads, and were scored by their beginning.
    """

    def __init__(
        self, loaded: LoadedClassifier, label_map: LabelMap, identity: Identity, options: ScorerOptions
    ) -> None:
        self.cut = 0
        self._loaded = loaded
        self._map = label_map
        self._identity = identity
        self._attributes = options.attributes
        self._raw = options.raw
        self._budget = options.batch_tokens or default_batch_tokens(loaded.device)

    @property
    def identity(self) -> Identity:
        """Fingerprint of the model, its revision, label map and longest text."""
        return self._identity

    @property
    def warnings(self) -> tuple[str, ...]:
        """That texts were cut, once some were."""
        if not self.cut:
            return ()
        texts = "1 text is" if self.cut == 1 else f"{self.cut:,} texts are"
        window = self._loaded.window
        return (
            f"{texts} longer than the {window} tokens that {self._identity.scorer} reads: scored by the beginning.",
        )

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        """The wanted attributes that the labels give, in a language that the classifier covers."""
        languages = self._map.languages
        return self._attributes if languages is None or entry_for(language, languages) else ()

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        """Each request with its outcome, by batches of similar length."""
        for window in windows(requests):
            todo = []
            for request in window:
                if not request.text.strip():
                    yield request, EMPTY
                elif not self.attributes_for(request.language):
                    yield request, self._not_covered(request)
                else:
                    todo.append(request)
            yield from self._classified(todo)

    def close(self) -> None:
        """Free the model."""
        self._loaded.model.to("meta")

    def _not_covered(self, request: Request) -> NotScored:
        covered = ", ".join(self._map.languages or ())
        language = "an unknown language" if request.language is None else request.language
        why = f"{self._identity.scorer} scores {covered}, and the text is in {language}."
        return NotScored("language", why)

    def _classified(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Outcome]]:
        if not requests:
            return
        rows = self._tokenized(requests)
        lengths = [len(row["input_ids"]) for row in rows]
        most_rows = None if self._loaded.pad_id is not None else 1
        waiting = pack(lengths, self._budget, most_rows)[::-1]
        while waiting:
            batch = waiting.pop()
            try:
                logits = self._logits([rows[place] for place in batch])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                logits = None
            if logits is not None:
                for place, outcome in zip(batch, self._outcomes(logits), strict=True):
                    yield requests[place], outcome
            elif len(batch) == 1:
                device, tokens = self._loaded.device, lengths[batch[0]]
                why = f"{device} has not enough memory for a text of {tokens} tokens."
                yield requests[batch[0]], Failed("memory", why)
            else:
                self._budget = max(1, len(batch) * lengths[batch[0]] // 2)
                left = [place for each in (batch, *waiting) for place in each]
                packed = pack([lengths[place] for place in left], self._budget, most_rows)
                waiting = [[left[number] for number in each] for each in packed][::-1]

    def _tokenized(self, requests: Sequence[Request]) -> list[dict[str, list[int]]]:
        tokenizer, window = self._loaded.tokenizer, self._loaded.window
        texts = [_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", request.text) for request in requests]
        encoded = tokenizer(texts, truncation=True, max_length=window, verbose=False)
        names = [name for name in encoded if name != "attention_mask"]
        rows = [
            dict(zip(names, values, strict=True)) for values in zip(*(encoded[name] for name in names), strict=True)
        ]
        full = [text for text, row in zip(texts, rows, strict=True) if len(row["input_ids"]) >= window]
        if full:  # whether these were longer, only a second look without a limit tells
            self.cut += sum(len(ids) > window for ids in tokenizer(full, verbose=False)["input_ids"])
        return rows

    def _logits(self, rows: Sequence[dict[str, list[int]]]) -> npt.NDArray[np.float32]:
        """The logits of a batch (N, labels)."""
        longest = max(len(row["input_ids"]) for row in rows)
        shape = (len(rows), longest)
        # Only XLNet reads a text's end from the last position; all others count positions from the first.
        left = self._loaded.model.config.model_type == "xlnet"
        inputs: dict[str, npt.NDArray[np.int64]] = {"attention_mask": np.zeros(shape, np.int64)}
        for name in rows[0]:
            inputs[name] = np.full(shape, self._filler(name), np.int64)
        for number, row in enumerate(rows):
            length = len(row["input_ids"])
            place = slice(longest - length, longest) if left else slice(0, length)
            inputs["attention_mask"][number, place] = 1
            for name, values in row.items():
                inputs[name][number, place] = values
        device = self._loaded.device
        with torch.inference_mode():
            moved = {name: torch.from_numpy(values).to(device) for name, values in inputs.items()}
            logits: torch.Tensor = self._loaded.model(**moved).logits  # (N, labels)
            return logits.float().cpu().numpy()

    def _filler(self, name: str) -> int:
        if name == "input_ids":
            return self._loaded.pad_id or 0
        return int(self._loaded.tokenizer.pad_token_type_id) if name == "token_type_ids" else 0

    def _outcomes(self, logits: npt.NDArray[np.float32]) -> Iterator[Outcome]:
        columns = self._map.scores(logits, self._loaded.labels)
        for number, row in enumerate(logits):
            scores = {name: float(columns[name][number]) for name in self._attributes}
            if not np.isfinite(list(scores.values())).all():
                yield NO_NUMBER
                continue
            yield Scored(scores, self._answer(row) if self._raw else None)

    def _answer(self, row: npt.NDArray[np.float32]) -> dict[str, Any]:
        return {"logits": {label: float(value) for label, value in zip(self._loaded.labels, row, strict=True)}}
