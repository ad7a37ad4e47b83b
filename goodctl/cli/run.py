"""``goodctl run``."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli import options_evaluate as e
from goodctl.cli import options_generate as g
from goodctl.cli import options_run as r
from goodctl.cli import options_score as s
from goodctl.cli.output import Output


def run(
    context: typer.Context,
    prompts: r.Prompts = None,
    out: r.Out = None,
    scorer: r.Scorer = None,
    toxic: g.Toxic = None,
    nontoxic: g.Nontoxic = None,
    with_base: r.WithBase = False,
    config: r.Config = None,
    from_manifest: r.From = None,
    print_config: r.PrintConfig = False,
    page: r.Page = True,
    overwrite: r.Overwrite = False,
    num_prompts: g.NumPrompts = None,
    prompt_field: g.PromptField = None,
    batch_size: g.BatchSize = "auto",
    explain: g.Explain = 0,
    model: g.BaseModel = None,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: r.TrustRemoteCode = False,
    method: g.Method = None,
    store: g.KnnStore = None,
    expert: g.Expert = None,
    antiexpert: g.Antiexpert = None,
    alpha: g.Alpha = None,
    k: g.K = 1024,
    k_nontoxic: g.KNontoxic = None,
    temperature: g.Temperature = "auto",
    filter_p: g.FilterP = 0.9,
    lam: g.Lam = 0.25,
    preset: g.Preset = None,
    fidelity: o.Fidelity = "high",
    check: r.Check = False,
    top_p: g.TopP = 0.9,
    num_return_sequences: g.NumReturnSequences = 25,
    max_new_tokens: g.MaxNewTokens = 20,
    seed: g.Seed = 0,
    attributes: s.Attributes = "TOXICITY",
    language: s.Language = None,
    language_field: s.LanguageField = None,
    rate: s.Rate = None,
    base_url: s.BaseUrl = None,
    batch_tokens: s.BatchTokens = None,
    label_map: s.LabelMap = None,
    scorer_revision: r.ScorerRevision = None,
    calibration: s.Calibration = None,
    emit: s.Emit = None,
    group_by: e.GroupBy = None,
    threshold: e.Threshold = 0.5,
    max_missing: e.MaxMissing = "1%",
    bootstrap: e.Resamples = 2000,
    perplexity_model: e.PerplexityModel = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """The whole way: continue the prompts of a file, steered, score the continuations, evaluate them, in one folder.

    What each step needs is checked before the first one begins. Stopped at any moment, the same command goes on, and
    ends with the same files; so does `goodctl run --from FOLDER/manifest.json`, which repeats the run in another --out.
    """
    from goodctl.cli import render_run, writing
    from goodctl.workflows import run as work
    from goodctl.workflows.run_config import as_toml
    from goodctl.workflows.run_job import RunControl

    console = Output(as_json=json, quiet=quiet)
    asked = r.asked(context)
    if print_config:
        console.result(asked.tables(), render_run.file(as_toml(asked.settings, r.comments(context), asked.out)))
        return
    with writing.resumable(console) as (interruption, report):
        control = RunControl(interruption, report)
        result = work.run(asked.settings, asked.out, control, overwrite=overwrite, repeated=asked.repeated)
    console.result(result.to_dict(), *render_run.ran(result))
    if result.error is not None:
        console.failure(result.error)
        raise typer.Exit(result.error.exit_code)
    console.next(render_run.next_step(result))


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(
        epilog="Example: goodctl run prompts.jsonl --toxic toxic --nontoxic nontoxic --with-base --scorer profanity "
        "--language en --out run"
    )(run)
