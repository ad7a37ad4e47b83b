"""Datasets of the Hugging Face Hub, through the ``datasets`` library and its cache on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from goodctl.corpus.arrow_schema import schema_paths
from goodctl.corpus.fields import Fields
from goodctl.corpus.record import Record
from goodctl.errors import MissingDependency, NotFoundError, ServiceError, UsageError

HUB_PREFIX = "hf://"


@dataclass(frozen=True)
class HubSplit:
    """A split of a dataset on the hub.

    Attributes:
        name: The id as the user typed it.
        dataset: ``NAME`` or ``OWNER/NAME``.
        config: The configuration, if the id has one.
        split: ``train``, or whatever else the library takes (``train[:10%]``).
    """

    name: str
    dataset: str
    config: str | None
    split: str


HubLoad = Callable[[HubSplit], Any]
"""Gives the ``datasets.Dataset`` of a split."""


def parse_hub_id(text: str) -> HubSplit:
    """Reads an id: ``hf://NAME:SPLIT``, ``hf://OWNER/NAME:SPLIT`` or ``hf://OWNER/NAME/CONFIG:SPLIT``.

    Two parts are always an owner and a name. A dataset without an owner and with a configuration is therefore
    written with the owner that the hub's own page shows for it.

    Raises:
        UsageError: The text is no such id.
    """
    path, _, split = text.removeprefix(HUB_PREFIX).partition(":")
    parts = path.split("/")
    if not split or not all(parts) or len(parts) > 3:
        raise UsageError(
            f"{text}: not a dataset id",
            hint="Write hf://NAME:SPLIT, hf://OWNER/NAME:SPLIT or hf://OWNER/NAME/CONFIG:SPLIT; a split is train, say.",
        )
    return HubSplit(text, "/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split)


def load_split(hub: HubSplit) -> Any:
    """Downloads a split, or takes it from the library's cache.

    Raises:
        MissingDependency: The ``datasets`` library is not installed.
        NotFoundError: There is no such dataset, configuration or split, or it is not public.
        ServiceError: The hub cannot be reached, or the library fails.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingDependency(
            f"{hub.name}: reading datasets from the hub needs the datasets library", hint="pip install 'goodctl[hub]'"
        ) from error
    return call_loader(hub, load_dataset)


def call_loader(hub: HubSplit, load_dataset: Callable[..., Any]) -> Any:
    """Calls ``datasets.load_dataset``, or what stands in for it, and names the dataset in what goes wrong.

    Raises:
        NotFoundError: There is no such dataset, configuration or split, or it is not public.
        ServiceError: Anything else.
    """
    try:
        return load_dataset(hub.dataset, name=hub.config, split=hub.split, streaming=False)
    except (FileNotFoundError, ValueError) as error:  # ValueError: of an unknown configuration or split
        raise NotFoundError(
            f"{hub.name}: {_first_line(error)}",
            hint="Check owner, name, configuration and split on the hub; for a private dataset: hf auth login",
        ) from error
    except Exception as error:  # network, HTTP, cache and builder errors have no base class in common
        raise ServiceError(
            f"{hub.name}: the dataset could not be loaded: {type(error).__name__}: {_first_line(error)}",
            hint="Check the network and run the command again; what was downloaded is kept.",
        ) from error


class HubReading:
    """Reads the columns of a hub dataset that hold the text and the language.

    Args:
        hub: The split.
        fields: Which columns those are.
        load: Gives the dataset.
    """

    def __init__(self, hub: HubSplit, fields: Fields, load: HubLoad) -> None:
        self._hub = hub
        self._fields = fields
        self._dataset = load(hub)
        # Before columns are selected, which makes another dataset with another fingerprint.
        self._fingerprint = str(self._dataset._fingerprint)
        self._size_bytes = int(self._dataset.data.nbytes)
        self._rows_done = 0

    def records(self) -> Iterator[Record]:
        """Every row, with the columns that are needed: images or audio besides are not decoded.

        Raises:
            InputError: There is no such column.
        """
        dataset = self._dataset
        self._fields.check_columns(self._hub.name, schema_paths(dataset.features.arrow_schema))
        for value in dataset.select_columns(self._fields.needed_columns(dataset.column_names)):
            self._rows_done += 1
            yield Record(value, self._rows_done, None)

    def bytes_done(self) -> int:
        """The share of the rows that is read, in bytes."""
        return self._size_bytes * self._rows_done // max(int(self._dataset.num_rows), 1)

    def sha256(self) -> str:
        """Hash of the fingerprint by which the library knows the dataset."""
        return hashlib.sha256(self._fingerprint.encode()).hexdigest()

    def size_bytes(self) -> int:
        """Size of all columns."""
        return self._size_bytes

    def close(self) -> None:
        """Nothing to let go of: the library maps its cache into memory until the dataset is forgotten."""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
