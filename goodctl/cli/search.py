"""``goodctl datastore``: index, recall, neighbors."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli.output import Output


def index(
    store: o.StoreBranch,
    index: o.Index = "auto",
    memory_budget: o.MemoryBudget = None,
    target_recall: o.TargetRecall = 0.95,
    k: o.Neighbors = 1024,
    temperature: o.Temperature = "auto",
    seed: o.TrainingSeed = 0,
    device: o.Device = "auto",
    message: o.Message = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Make a datastore's search index anew: one codec trained on all rows, in one new version.

    Keys are read and stay as they are. Earlier versions keep the codes that they have.
    """
    from goodctl.cli import render_search, sizes, writing
    from goodctl.workflows import index as work
    from goodctl.workflows import parsing
    from goodctl.workflows.index_choice import IndexChoice

    out = Output(as_json=json, quiet=quiet)
    choice = IndexChoice(
        index,
        memory_budget_bytes=sizes.budget(memory_budget),
        target_recall=target_recall,
        k=k,
        temperature=parsing.temperature(temperature),
        seed=seed,
    )
    with writing.running(out, message, 0) as running:
        asked = work.IndexRun(device, message, running.interruption, running.report)
        result = work.index(store, choice, asked)
    out.result(result.to_dict(), *render_search.indexed(result))
    out.next(f"goodctl datastore recall {store}")


def recall(
    stores: o.StoreRefs,
    k: o.Neighbors = 1024,
    queries: o.Queries = 200,
    temperature: o.Temperature = "auto",
    fidelity: o.Fidelities = ["high", "fast"],  # noqa: B006 - typer copies it
    memory_budget: o.SearchBudget = None,
    seed: o.QuerySeed = 0,
    device: o.Device = "auto",
    check: o.Check = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure a datastore's search against exact search: recall, distributions, time, memory, language by language.

    Random rows are asked for as if their own documents were not there.
    """
    from goodctl.cli import render_search, sizes
    from goodctl.cli.progress import drawn
    from goodctl.workflows import parsing
    from goodctl.workflows import recall as work

    out = Output(as_json=json, quiet=quiet)
    choice = work.RecallChoice(
        k, queries, parsing.temperature(temperature), tuple(fidelity), device, sizes.budget(memory_budget), seed, check
    )
    with drawn(out) as report:
        result = work.recall(stores, choice, report)
    out.result(result.to_dict(), *render_search.recalled(result))
    out.next(f'goodctl datastore neighbors {result.stores[0]} "some text"')


def neighbors(
    store: o.StoreRef,
    text: o.Prompt,
    k: o.Neighbors = 8,
    temperature: o.Temperature = "auto",
    fidelity: o.Fidelity = "high",
    model: o.StoreModel = None,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    check: o.Check = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show the rows nearest to where a prompt ends: next token, distance, and the text and source they came from.

    What stands before a row's token and is, token by token, how the prompt ends, is marked. A quoted glob searches
    several stores as one.
    """
    from goodctl.cli import render_search
    from goodctl.cli.progress import drawn
    from goodctl.workflows import neighbors as work
    from goodctl.workflows import parsing
    from goodctl.workflows.model_choice import ModelChoice

    out = Output(as_json=json, quiet=quiet)
    chosen = ModelChoice(model, revision, device, precision, trust_remote_code)
    with drawn(out) as report:
        asked = parsing.temperature(temperature)
        result = work.neighbors(
            [store], text, k, chosen, fidelity=fidelity, temperature=asked, check=check, report=report
        )
    out.result(result.to_dict(), *render_search.neighbored(result))


def register(app: typer.Typer) -> None:
    """Add the commands to ``goodctl datastore``."""
    app.command(epilog="Example: goodctl datastore index nontoxic --memory-budget 2GB")(index)
    app.command(epilog="Example: goodctl datastore recall nontoxic -k 256")(recall)
    app.command(epilog='Example: goodctl datastore neighbors nontoxic "Thank you for" -k 4')(neighbors)
