"""Random histories of a store against a simple model of it: every version stays what it was."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from goodctl.datastore.change import changing
from goodctl.datastore.collect import gc
from goodctl.datastore.compaction import compact
from goodctl.datastore.history import log
from goodctl.datastore.names import create_branch, create_tag, delete_branch, delete_tag
from goodctl.datastore.parts import segment_group, write_part
from goodctl.datastore.removal import remove
from goodctl.datastore.removal_plan import Removal
from goodctl.datastore.repository import Repository, writer_lock
from goodctl.datastore.rollback import rollback
from goodctl.datastore.sharding import shard
from goodctl.datastore.store import Datastore
from goodctl.datastore.writer import Writer
from goodctl.errors import NotFoundError, UsageError
from goodctl.workflows.merge import MergeChoice, merge
from goodctl.workflows.verify import verify
from tests.datastore.contents import SOURCES, check_description, from_sources
from tests.datastore.history_model import (
    Batch,
    Document,
    Model,
    Pending,
    Segment,
    Version,
    brought_together,
    flat,
    joined,
    merged,
    property_of,
    read,
    without,
    written,
)
from tests.datastore.rows import addition, decode, header

MAIN = "main"
LANGUAGES = ("en", "fr", "de")
LABELS = (None, "toxic")
SEEDS = st.integers(0, 2**20)
PICKS = st.integers(0, 2**10)
"""One of whatever there is: a number, taken modulo how many there are."""
ADDED = st.lists(
    st.tuples(st.sampled_from(LANGUAGES), st.integers(1, 4), st.sampled_from([(0,), (1, 2), (0, 1, 2)])),
    min_size=1,
    max_size=3,
)


class Histories(RuleBasedStateMachine):
    """Commands in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        self.store = str(self.folder / "s")
        self.model = Model()
        self.numbers = itertools.count()
        self.unchecked: set[str] = set()

    def teardown(self) -> None:
        try:
            if self.model.versions:
                self.check_everything(deep=True)
        finally:
            shutil.rmtree(self.folder)

    # What is done to the store

    @initialize(seed=SEEDS, added=ADDED, label=st.sampled_from(LABELS))
    def build(self, seed: int, added: list[tuple[str, int, tuple[int, ...]]], label: str | None) -> None:
        with writer_lock(self.store, "test"):
            Repository.create(self.store)
        self.model.branches = {}
        batches = self.batches(seed, added)
        with pytest.raises(NotFoundError):
            Datastore.open(self.store)
        self.finish(self.writer(f"job{next(self.numbers)}", MAIN, label, 2**20), MAIN, batches, batches, label)

    @rule(
        seed=SEEDS,
        added=ADDED,
        label=st.sampled_from(LABELS),
        pick=PICKS,
        part_bytes=st.sampled_from([1, 200, 2**20]),
    )
    def add(
        self, seed: int, added: list[tuple[str, int, tuple[int, ...]]], label: str | None, pick: int, part_bytes: int
    ) -> None:
        branch, batches = self.branch(pick), self.batches(seed, added)
        self.finish(self.writer(f"job{next(self.numbers)}", branch, label, part_bytes), branch, batches, batches, label)

    @rule(seed=SEEDS, added=ADDED, more=ADDED, pick=PICKS, label=st.sampled_from(LABELS), finishing=st.booleans())
    def interrupt(
        self,
        seed: int,
        added: list[tuple[str, int, tuple[int, ...]]],
        more: list[tuple[str, int, tuple[int, ...]]],
        pick: int,
        label: str | None,
        finishing: bool,
    ) -> None:
        """A writer makes a checkpoint and is gone; or is killed between its last commit and the move of the branch."""
        job, branch = f"job{next(self.numbers)}", self.branch(pick)
        kept, lost = self.batches(seed, added), self.batches(seed + 1, more)
        writing = self.writer(job, branch, label, 200)
        for batch in kept:
            writing.append(*batch)
        state = {"position": len(kept)}
        if finishing:
            with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(writing.repository, "move_branch", killed)
                writing.finish(state, decode, {})
        else:
            writing.checkpoint(state)
            for batch in lost:
                writing.append(*batch)
        self.model.pending[job] = Pending(label, kept, lost, state)

    @precondition(lambda self: self.model.pending)
    @rule(pick=PICKS, branch_pick=PICKS)
    def resume(self, pick: int, branch_pick: int) -> None:
        """The same job again, perhaps on another branch."""
        job = sorted(self.model.pending)[pick % len(self.model.pending)]
        pending, branch = self.model.pending.pop(job), self.branch(branch_pick)
        writing = self.writer(job, branch, pending.label, 2**20)
        assert writing.state == pending.state
        assert writing.rows == sum(len(rows.values) for _, rows in pending.kept)
        self.finish(writing, branch, pending.lost, pending.kept + pending.lost, pending.label)

    @rule(pick=PICKS, deleting=st.booleans())
    def change_and_vanish(self, pick: int, deleting: bool) -> None:
        """A transaction ends before its commit: nothing of it is seen."""
        with pytest.raises(KeyboardInterrupt), changing(f"{self.store}@{self.branch(pick)}", "test") as change:
            assert change.current is not None
            for segment in change.current.segments:
                group = segment_group(change.root, "unseen")
                for number, part in enumerate(change.current.parts(segment), segment.order * 1000):
                    write_part(group, number, part.read_all())
                if deleting:
                    change.delete(segment)
            raise KeyboardInterrupt

    @rule(pick=PICKS, picks=st.lists(PICKS, min_size=1, max_size=2), keep=st.booleans())
    def merge_into(self, pick: int, picks: list[int], keep: bool) -> None:
        """Versions of the store itself are merged into a branch of it."""
        branch, ids = self.branch(pick), [self.version(each) for each in picks]
        there = self.head(branch)
        result = merge(
            [f"{self.store}@{each}" for each in ids],
            into=f"{self.store}@{branch}",
            choice=MergeChoice(keep_duplicates=keep, device="cpu"),
        )
        expected = merged(there, [self.model.versions[each] for each in ids], keep_duplicates=keep)
        if expected == there:
            assert result.snapshot == self.model.branches[branch]
        else:
            self.committed(branch, result.snapshot, expected)

    @rule(picks=st.lists(PICKS, min_size=1, max_size=2), keep=st.booleans(), pick=PICKS)
    def merge_into_a_new_store_and_back(self, picks: list[int], keep: bool, pick: int) -> None:
        ids, new = [self.version(each) for each in picks], str(self.folder / "new")
        choice = MergeChoice(keep_duplicates=keep, device="cpu")
        merge([f"{self.store}@{each}" for each in ids], out=new, choice=choice)
        expected = merged((), [self.model.versions[each] for each in ids], keep_duplicates=keep)
        self.check_other(new, expected)
        branch = self.branch(pick)
        there = self.head(branch)
        result = merge([new], into=f"{self.store}@{branch}", choice=choice)
        both = merged(there, [expected], keep_duplicates=keep)
        if both != there:
            self.committed(branch, result.snapshot, both)
        shutil.rmtree(new)

    @rule(pick=PICKS, count=st.integers(1, 5), by=st.sampled_from([None, "language", "label", "source"]))
    def shard_and_merge(self, pick: int, count: int, by: str | None) -> None:
        """The shards hold the version's documents, and merged they are in its order again."""
        id, out, new = self.version(pick), str(self.folder / "out"), str(self.folder / "again")
        version = self.model.versions[id]
        total = sum(len(segment.documents) for segment in version)
        if not total:
            return
        result = shard(f"{self.store}@{id}", out, count=None if by else min(count, total), by=by)
        places = [each.store for each in result.shards]
        for place in places:
            check_description(place)
            assert verify(place, device="cpu").is_good
        merge(places, out=new, choice=MergeChoice(keep_duplicates=True, device="cpu"))
        again = flat(read(new))
        if by is None:
            assert again == flat(version)
        else:
            values = list(dict.fromkeys(property_of(each, by) for each in flat(version)))
            assert again == sorted(flat(version), key=lambda each: values.index(property_of(each, by)))
        shutil.rmtree(out)
        shutil.rmtree(new)

    @rule(pick=PICKS, what=PICKS, kind=st.sampled_from(["language", "label", "source", "document", "both"]))
    def remove(self, pick: int, what: int, kind: str) -> None:
        branch = self.branch(pick)
        there = self.head(branch)
        chosen = flat(there)
        if not chosen:
            return
        language, label, document = chosen[what % len(chosen)]
        place = f"{document.source}:{document.line}"
        removal = {
            "language": Removal(languages=(language,)),
            "label": Removal(labels=(label or "toxic",)),
            "source": Removal(sources=(document.source,)),
            "document": Removal(documents=(place,)),
            "both": Removal(languages=(language,), documents=(place,)),
        }[kind]
        tests: dict[str, Callable[[Segment, Document], bool]] = {
            "language": lambda segment, _: segment.language == language,
            "label": lambda segment, _: segment.label == (label or "toxic"),
            "source": lambda _, each: each.source == document.source,
            "document": lambda _, each: f"{each.source}:{each.line}" == place,
            "both": lambda segment, each: segment.language == language and f"{each.source}:{each.line}" == place,
        }
        expected = without(there, tests[kind])
        if expected == there:
            with pytest.raises(NotFoundError):
                remove(f"{self.store}@{branch}", removal)
            return
        tried = remove(f"{self.store}@{branch}", removal, dry_run=True)
        assert tried.snapshot == self.model.branches[branch]
        result = remove(f"{self.store}@{branch}", removal)
        assert (tried.rows, tried.documents) == (result.rows, result.documents)
        assert result.store_documents == len(flat(expected))
        self.committed(branch, result.snapshot, expected)

    @rule(pick=PICKS, reorder=st.booleans(), part_bytes=st.sampled_from([100, 500, 2**20]))
    def compact(self, pick: int, reorder: bool, part_bytes: int) -> None:
        branch = self.branch(pick)
        there = self.head(branch)
        expected = joined(brought_together(there) if reorder else there)
        result = compact(f"{self.store}@{branch}", reorder=reorder, part_bytes=part_bytes)
        if result.snapshot == self.model.branches[branch]:  # not even parts could be put together
            assert expected == there
        else:
            self.committed(branch, result.snapshot, expected)
        self.check_everything()

    @rule(pick=PICKS, number=st.integers(0, 5))
    def tag(self, pick: int, number: int) -> None:
        name, id = f"tag{number}", self.version(pick)
        if name in self.model.tags or name in self.model.used:
            return
        assert create_tag(f"{self.store}@{id}", name).snapshot == id
        self.model.tags[name] = id

    @precondition(lambda self: self.model.tags)
    @rule(pick=PICKS)
    def delete_tag(self, pick: int) -> None:
        name = sorted(self.model.tags)[pick % len(self.model.tags)]
        delete_tag(self.store, name)
        del self.model.tags[name]
        self.model.used.add(name)

    @rule(pick=PICKS, number=st.integers(0, 2))
    def make_branch(self, pick: int, number: int) -> None:
        name, id = f"branch{number}", self.version(pick)
        if name not in self.model.branches:
            assert create_branch(f"{self.store}@{id}", name).snapshot == id
            self.model.branches[name] = id

    @precondition(lambda self: len(self.model.branches) > 1)
    @rule(pick=PICKS)
    def delete_branch(self, pick: int) -> None:
        names = sorted(self.model.branches.keys() - {MAIN})
        delete_branch(self.store, names[pick % len(names)])
        del self.model.branches[names[pick % len(names)]]

    @rule(pick=PICKS, to=PICKS, killed_at=st.sampled_from([None, None, "move_branch", "create_branch"]))
    def roll_back(self, pick: int, to: int, killed_at: str | None) -> None:
        """To any version; perhaps the first try is killed."""
        branch, id = self.branch(pick), self.version(to)
        place = f"{self.store}@{branch}"
        if id == self.model.branches[branch]:
            with pytest.raises(UsageError):
                rollback(place, id)
            return
        if killed_at:
            with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(Repository, killed_at, killed)
                rollback(place, id)
            self.check_names()
        result = rollback(place, f"@{id}")
        assert result.before == self.model.branches[branch]
        self.committed(branch, result.snapshot, self.model.versions[id])
        self.check_everything()

    @rule(keep_last=st.one_of(st.none(), st.integers(1, 6)))
    def collect(self, keep_last: int | None) -> None:
        """Newest versions, tagged ones and all as young as those of main stay; whatever stays is what it was."""
        model, before = self.model, self.model.readable()
        kept = model.history(model.branches[MAIN])[:keep_last] if keep_last else before
        tried = gc(self.store, keep_last=keep_last, dry_run=True)
        self.check_names()
        result = gc(self.store, keep_last=keep_last)
        assert (tried.dropped, tried.files) == (result.dropped, result.files)
        starts = {**model.branches, **model.tags}
        entries = {name: log(f"{self.store}@{name}") for name in starts}
        model.before = {}
        for name, found in entries.items():
            assert found[0].snapshot == starts[name]
            assert found[-1].parent is None
            for entry in found:
                assert model.before.setdefault(entry.snapshot, entry.parent) == entry.parent
        after = set(model.before)
        assert after <= set(before)
        assert {each.snapshot for each in result.dropped} == set(before) - after
        assert [entry.snapshot for entry in entries[MAIN]][: len(kept)] == kept if keep_last else after == set(before)
        assert result.versions == len(after)
        model.versions = {id: content for id, content in model.versions.items() if id in after}
        again = gc(self.store, keep_last=keep_last)
        assert not again.dropped
        assert not any(again.files.values()), "everything was freed the first time"
        self.check_everything()

    # What must hold after it

    @invariant()
    def check(self) -> None:
        """Names lead where they should, and the versions that are new are what they should be."""
        if not self.model.versions:
            return
        self.check_names()
        for id in self.unchecked & set(self.model.readable()):
            assert read(f"{self.store}@{id}") == self.model.versions[id]
        self.unchecked = set()

    def check_names(self) -> None:
        """Branches, tags and ``~N`` lead to the versions that they should."""
        model, repository = self.model, Repository.open(self.store)
        visible = {
            name: tip for name, tip in repository.branches().items() if not name.startswith(("checkpoint-", "rolled-"))
        }
        assert visible == model.branches
        assert repository.tags() == model.tags
        for name, tip in model.branches.items():
            expected = model.history(tip)
            found = [
                version.id for version in repository.history(tip) if not (version.is_checkpoint or version.is_root)
            ]
            assert found == expected
            for age in {0, len(expected) // 2, len(expected) - 1}:
                assert Datastore.from_repository(repository, f"{name}~{age}").version.id == expected[age]
            with pytest.raises(NotFoundError):
                Datastore.from_repository(repository, f"{name}~{len(expected)}")

    def check_everything(self, *, deep: bool = False) -> None:
        """Every version can be read and is what it was, under each of its names; nothing is damaged."""
        model = self.model
        for id in model.readable():
            assert read(f"{self.store}@{id}") == model.versions[id]
            assert Datastore.open(f"{self.store}@{id[:12].lower()}").version.id == id
        for name, id in {**model.branches, **model.tags}.items():
            assert Datastore.open(f"{self.store}@{name}").version.id == id
        assert [entry.snapshot for entry in log(self.store)] == model.history(model.branches[MAIN])
        check_description(self.store)
        found = verify(self.store, deep=deep, device="cpu")
        assert not found.problems
        self.unchecked = set()

    def check_other(self, store: str, expected: Version) -> None:
        """A store beside this one."""
        assert read(store) == expected
        check_description(store)
        assert not verify(store, deep=True, device="cpu").problems

    # Helpers

    def batches(self, seed: int, added: Sequence[tuple[str, int, tuple[int, ...]]]) -> list[Batch]:
        return [
            (language, from_sources(seed + n, count, sources)) for n, (language, count, sources) in enumerate(added)
        ]

    def branch(self, pick: int) -> str:
        names = sorted(self.model.branches)
        return names[pick % len(names)]

    def version(self, pick: int) -> str:
        readable = self.model.readable()
        return readable[pick % len(readable)]

    def head(self, branch: str) -> Version:
        return self.model.versions[self.model.branches[branch]]

    def writer(self, job: str, branch: str, label: str | None, part_bytes: int) -> Writer:
        described = addition(job, label=label, sources=SOURCES)
        return Writer(Repository.open(self.store), header(), described, part_bytes=part_bytes, branch=branch)

    def finish(
        self, writing: Writer, branch: str, rest: Sequence[Batch], batches: Sequence[Batch], label: str | None
    ) -> None:
        with writer_lock(self.store, "test"):
            for batch in rest:
                writing.append(*batch)
            results = {"rows": writing.rows, "documents": 1, "languages": writing.languages()}
            snapshot = writing.finish({"position": len(batches)}, decode, results)
        there = self.head(branch) if self.model.branches else ()
        self.committed(branch, snapshot, there + written(batches, label))

    def committed(self, branch: str, snapshot: str, content: Version) -> None:
        self.model.commit(branch, snapshot, content)
        self.unchecked.add(snapshot)


def killed(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_some_histories() -> None:
    run(15, 8)


@pytest.mark.slow
def test_many_histories() -> None:
    run(120, 12)
