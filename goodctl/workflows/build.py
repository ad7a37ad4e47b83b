"""Build a datastore from text, or add text to one: the same job, from files to one new version."""

from __future__ import annotations

import datetime
from dataclasses import replace

from goodctl import __version__
from goodctl.corpus import Scan
from goodctl.datastore.change import new_place, refuse_existing, writable
from goodctl.datastore.format import Header
from goodctl.datastore.properties import KEY_DTYPES
from goodctl.datastore.reference import CHECKPOINT_PREFIX
from goodctl.datastore.repository import Repository, is_store, writer_lock
from goodctl.datastore.store import Datastore
from goodctl.encoding import default_window
from goodctl.errors import ExistsError, UsageError
from goodctl.index.kinds import EXACT, NONE
from goodctl.index.library import library
from goodctl.models.key_layer import KEY_LAYERS, KeyLayer, find_key_layer
from goodctl.models.load import LoadedModel
from goodctl.progress import Progress, Report
from goodctl.workflows.choices import EncodingChoice, Running, Text
from goodctl.workflows.index_choice import IndexChoice
from goodctl.workflows.job import Job, text_fingerprint
from goodctl.workflows.model_choice import Identity, ModelChoice, check_same_model, identify, store_model
from goodctl.workflows.writing import WriteResult


def build(
    store: str,
    text: Text,
    model: ModelChoice,
    *,
    encoding: EncodingChoice | None = None,
    index: IndexChoice | None = None,
    running: Running | None = None,
) -> WriteResult:
    """Build a new datastore.

    Args:
        store: Folder to be made.
        text: What to read.
        model: Whose hidden states become the keys.
        encoding: Key layer, dtype, window and batch size.
        index: How the rows are to be searched.
        running: Message, checkpoints, progress.

    Returns:
        What was written.

    Raises:
        ExistsError: There is a store or something else already, or an unfinished build of other text or settings.
        GoodctlError: The text, the model or the disk does not serve; nothing is left behind.
    """
    encoding, index, running = encoding or EncodingChoice(), index or IndexChoice(), running or Running()
    hint = f"Add text to it: goodctl datastore add {store} TEXT"
    refuse_existing(store, hint)
    scan = text.corpus.scan(running.report)
    identity = identify(model, running.report)
    with new_place(store, "goodctl datastore build"):
        refuse_existing(store, hint)
        loaded = identity.load(running.report)
        layer = find_key_layer(loaded.model, encoding.key_layer or KEY_LAYERS[0])
        header = _new_header(identity, loaded, layer, encoding)
        index.check(header.dimension)
        job = Job("build", header, loaded, layer, text, scan, encoding.batch_tokens, index)
        repository = Repository.open(store) if is_store(store) else Repository.create(store)
        _refuse_other_build(repository, job.fingerprint, running.restart)
        return job.run(repository, running)


def add(
    store: str,
    text: Text,
    model: ModelChoice | None = None,
    *,
    encoding: EncodingChoice | None = None,
    index: IndexChoice | None = None,
    running: Running | None = None,
) -> WriteResult:
    """Add text to a datastore as new segments, in one new version.

    Args:
        store: An existing store, or ``STORE@BRANCH``.
        text: What to read.
        model: How to run it; without a name, the one that the store was made with.
        encoding: Only the batch size may differ from the store's own choice.
        index: How the new rows are to be searched, and whether a codec of the store serves for them.
        running: Message, checkpoints, progress.

    Returns:
        What was written.

    Raises:
        NotFoundError: There is no such store.
        IncompatibleError: Another model, key layer or key dtype than the store's.
        ExistsError: The store has this text already (``again`` adds it a second time).
        GoodctlError: The text or the disk does not serve; the store is what it was.
    """
    encoding, index, running = encoding or EncodingChoice(), index or IndexChoice(), running or Running()
    header = Datastore.open(store).header
    location, branch = writable(store, "goodctl datastore add")
    encoding.check_fits(header, store)
    index.check(header.dimension)
    scan = text.corpus.scan(running.report)
    identity = identify(store_model(header, model), running.report)
    check_same_model(header, identity, store)
    with writer_lock(location, "goodctl datastore add"):
        current = Datastore.open(store)
        if index.kind not in {EXACT, NONE} and any(segment.codes for segment in current.segments):
            library()  # before the model runs for hours: the new rows need codes like the others
        times = _times_added(current, text, scan, again=running.again)
        _mention_known_sources(current, scan, running.report)
        loaded = identity.load(running.report)
        layer = find_key_layer(loaded.model, header.key_layer)
        job = Job("add", header, loaded, layer, text, scan, encoding.batch_tokens, index, current, times, branch)
        known = {origin.job for segment in current.segments for origin in segment.all_origins()}
        while job.fingerprint in known:  # an earlier copy of the text was removed, and this one stayed
            job = replace(job, salt=job.salt + 1)
        if running.restart and job.fingerprint in current.repository.checkpoints():
            current.repository.delete_branch(CHECKPOINT_PREFIX + job.fingerprint)
        return job.run(current.repository, running)


def _new_header(identity: Identity, loaded: LoadedModel, layer: KeyLayer, encoding: EncodingChoice) -> Header:
    window = encoding.window or default_window(loaded)
    if loaded.window is not None and window > loaded.window:
        raise UsageError(
            f"--window {window}: {loaded.name} reads at most {loaded.window} tokens.",
            hint=f"Choose --window {loaded.window} or less.",
        )
    return Header(
        model=identity.describe(loaded),
        key_layer=layer.name,
        key_module=layer.module_path,
        key_dtype=encoding.key_dtype or KEY_DTYPES[0],
        dimension=layer.dimension,
        vocabulary=loaded.vocabulary,
        window=window,
        created_by=f"goodctl {__version__}",
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _refuse_other_build(repository: Repository, job: str, restart: bool) -> None:
    tips = {other: next(repository.ancestry(tip)) for other, tip in repository.checkpoints().items()}
    others = [other for other, version in tips.items() if other != job and version.is_checkpoint]
    if restart:
        for other in repository.checkpoints():
            repository.delete_branch(CHECKPOINT_PREFIX + other)
    elif others:
        rows = tips[others[0]].metadata["rows"]
        raise ExistsError(
            f"{repository.location} holds an unfinished build of other text, model or settings ({rows:,} rows).",
            hint="Finish it with the command that began it, or discard it: add --restart to this one.",
        )


def _times_added(current: Datastore, text: Text, scan: Scan, *, again: bool) -> int:
    """How often a store has this text already; unless it is to be added ``again``, that must be never."""
    known = text_fingerprint(text, scan)
    origins = [origin for segment in current.segments for origin in segment.all_origins()]
    there = [origin for origin in origins if origin.settings.get("text") == known]
    if there and not again:
        raise ExistsError(
            f"{current.location} has this text already: segment {there[0].segment[:8]}, added {there[0].added_at}.",
            hint="Nothing to do. To add it once more all the same: --again",
        )
    return len({origin.job for origin in there})


def _mention_known_sources(current: Datastore, scan: Scan, report: Report) -> None:
    """Say which files are in the store already, under another language, label or selection perhaps."""
    known = {source.sha256: segment for segment in current.segments for source in segment.sources}
    for source in scan.sources:
        if segment := known.get(source.sha256):
            report(Progress("", note=f"note: {source.name} is in the store already, as {segment.language}"))
