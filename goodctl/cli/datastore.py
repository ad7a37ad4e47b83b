"""``goodctl datastore``: build, add, inspect; the other commands are registered beside them."""

from __future__ import annotations

import typer

from goodctl.cli import history, search, segments, upkeep
from goodctl.cli import options as o
from goodctl.cli.output import Output

app = typer.Typer(
    help="Build datastores from text, add to them, look inside, search them, keep them for years.",
    epilog="Example: goodctl datastore inspect nontoxic",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(
    epilog="Example: goodctl datastore build nontoxic english.txt --model gemma3-270m --language en --label nontoxic"
)
def build(
    store: o.Store,
    texts: o.Texts,
    model: o.Model,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    key_layer: o.KeyLayer = None,
    key_dtype: o.KeyDtype = None,
    window: o.Window = None,
    text_field: o.TextField = "text",
    language: o.Language = "und",
    language_field: o.LanguageField = None,
    label: o.Label = None,
    max_tokens: o.MaxTokens = None,
    max_documents: o.MaxDocuments = None,
    seed: o.Seed = None,
    index: o.Index = "auto",
    memory_budget: o.MemoryBudget = None,
    batch_tokens: o.BatchTokens = None,
    message: o.Message = None,
    restart: o.Restart = False,
    checkpoint_every: o.CheckpointEvery = 180.0,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Build a new datastore: one row for every token of the text that has a token before it.

    Stopped at any moment, the same command goes on from the last checkpoint.
    """
    from goodctl.cli import render, sizes, writing
    from goodctl.corpus import Corpus
    from goodctl.workflows import build as work
    from goodctl.workflows.choices import EncodingChoice, Text
    from goodctl.workflows.index_choice import IndexChoice
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.selection import Selection

    out = Output(as_json=json, quiet=quiet)
    text = Text(
        Corpus(tuple(texts), text_field, language, language_field), Selection(max_documents, max_tokens, seed), label
    )
    chosen = ModelChoice(model, revision, device, precision, trust_remote_code)
    encoding = EncodingChoice(key_layer, key_dtype, window, batch_tokens)
    search = IndexChoice(index, memory_budget_bytes=sizes.budget(memory_budget))
    with writing.running(out, message, checkpoint_every, restart=restart) as running:
        result = work.build(store, text, chosen, encoding=encoding, index=search, running=running)
    out.result(result.to_dict(), *render.written("Built", result))
    out.next(f"goodctl datastore inspect {store}")


@app.command(epilog="Example: goodctl datastore add nontoxic french.csv --text-field comment --language fr")
def add(
    store: o.StoreBranch,
    texts: o.Texts,
    model: o.StoreModel = None,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    key_layer: o.KeyLayer = None,
    text_field: o.TextField = "text",
    language: o.Language = "und",
    language_field: o.LanguageField = None,
    label: o.Label = None,
    max_tokens: o.MaxTokens = None,
    max_documents: o.MaxDocuments = None,
    seed: o.Seed = None,
    index: o.Index = "auto",
    codec: o.Codec = "auto",
    memory_budget: o.MemoryBudget = None,
    batch_tokens: o.BatchTokens = None,
    message: o.Message = None,
    again: o.Again = False,
    restart: o.Restart = False,
    checkpoint_every: o.CheckpointEvery = 180.0,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Add text to a datastore, in one new version: a language, a domain, more of the same.

    It costs what the new text costs, however large the store is. Stopped at any moment, the store is what it was, and
    the same command goes on from the last checkpoint.
    """
    from goodctl.cli import render, sizes, writing
    from goodctl.corpus import Corpus
    from goodctl.workflows import build as work
    from goodctl.workflows.choices import EncodingChoice, Text
    from goodctl.workflows.index_choice import IndexChoice
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.selection import Selection

    out = Output(as_json=json, quiet=quiet)
    text = Text(
        Corpus(tuple(texts), text_field, language, language_field), Selection(max_documents, max_tokens, seed), label
    )
    chosen = ModelChoice(model, revision, device, precision, trust_remote_code)
    with writing.running(out, message, checkpoint_every, restart=restart, again=again) as running:
        encoding = EncodingChoice(key_layer=key_layer, batch_tokens=batch_tokens)
        search = IndexChoice(index, codec, sizes.budget(memory_budget))
        result = work.add(store, text, chosen, encoding=encoding, index=search, running=running)
    out.result(result.to_dict(), *render.written("Added to", result))
    out.next(f"goodctl datastore log {store}")


@app.command(epilog="Example: goodctl datastore inspect nontoxic@~1")
def inspect(store: o.StoreRef, json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Show what is in a datastore: model, languages, sources, segments, sizes, most frequent next tokens."""
    from goodctl.cli import render
    from goodctl.datastore.store import Datastore
    from goodctl.datastore.summary import summary

    out = Output(as_json=json, quiet=quiet)
    described = summary(Datastore.open(store))
    out.result(described, *render.inspected(described))


history.register(app)
segments.register(app)
upkeep.register(app)
search.register(app)
