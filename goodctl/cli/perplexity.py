"""``goodctl perplexity``."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli import options_generate as g
from goodctl.cli.output import Output


def perplexity(
    context: typer.Context,
    texts: o.Texts,
    model: g.BaseModel = None,
    store: g.KnnStore = None,
    lam: g.Lam = 0.25,
    k: g.K = 1024,
    temperature: g.Temperature = "auto",
    fidelity: o.Fidelity = "high",
    window: o.Window = None,
    text_field: o.TextField = "text",
    language: o.Language = "und",
    language_field: o.LanguageField = None,
    max_tokens: o.MaxTokens = None,
    max_documents: o.MaxDocuments = None,
    seed: o.Seed = None,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    check: o.Check = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure the perplexity of text under a model, and with a datastore's neighbours (kNN-LM): does the store help?

    Every token of a document but the first is predicted once, from at least half a window of context; with a store the
    window is that of its keys. The text must not be in the store; where it is, that is said.
    """
    from goodctl.cli import render_perplexity
    from goodctl.cli.progress import drawn
    from goodctl.cli.writing import given
    from goodctl.corpus import Corpus
    from goodctl.workflows import parsing
    from goodctl.workflows import perplexity as work
    from goodctl.workflows.choices import Text
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.selection import Selection

    out = Output(as_json=json, quiet=quiet)
    text = Text(Corpus(tuple(texts), text_field, language, language_field), Selection(max_documents, max_tokens, seed))
    base = ModelChoice(model, revision, device, precision, trust_remote_code)
    choice = work.PerplexityChoice(
        tuple(store or ()), lam, k, parsing.temperature(temperature), fidelity, window, check
    )
    choice.steering().check_effects(given(context))
    with drawn(out) as report:
        result = work.perplexity(text, base, choice, report)
    out.result(result.to_dict(), *render_perplexity.measured(result))


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl perplexity held-out.txt --store nontoxic --lam 0.25")(perplexity)
