"""``goodctl evaluate``."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli import options_evaluate as e
from goodctl.cli.output import Output


def evaluate(
    files: e.Files,
    group_by: e.GroupBy = None,
    threshold: e.Threshold = 0.5,
    max_missing: e.MaxMissing = "1%",
    bootstrap: e.Resamples = 2000,
    seed: e.Seed = 0,
    perplexity_model: e.PerplexityModel = None,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    csv: e.Csv = None,
    html: e.Html = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Evaluate scored generations: toxicity, diversity and perplexity with 95 % intervals; several files are compared.

    Figures are over toxic prompts, nontoxic prompts and all, and over those of each group. Missing scores are counted
    beside them, and too many are an error.
    """
    from goodctl.cli import render_evaluate, writing
    from goodctl.evaluation.results import Bootstrap
    from goodctl.workflows import evaluate as work
    from goodctl.workflows import parsing
    from goodctl.workflows.evaluate_files import Outputs

    console = Output(as_json=json, quiet=quiet)
    missing = parsing.share(max_missing, "--max-missing")
    choice = work.EvaluateChoice(tuple(files), group_by, threshold, missing, Bootstrap(bootstrap, seed))
    judge = None
    if perplexity_model is not None:  # torch takes seconds to load
        from goodctl.workflows.model_choice import ModelChoice

        judge = ModelChoice(perplexity_model, revision, device, precision, trust_remote_code)
    with writing.measuring(console) as report:
        outputs = Outputs.prepared(choice.files, csv, html)
        evaluation = work.evaluate(choice, judge, report)
        written = outputs.write(evaluation)
    console.result({**evaluation.to_dict(), "written": list(written)}, *render_evaluate.evaluated(evaluation, written))


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl evaluate base.scored.jsonl steered.scored.jsonl --html report.html")(evaluate)
