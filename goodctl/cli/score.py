"""``goodctl score``."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli import options_score as s
from goodctl.cli.output import Output


def score(
    context: typer.Context,
    texts: s.TextsFile,
    scorer: s.Scorer,
    out: s.Out,
    attributes: s.Attributes = "TOXICITY",
    rate: s.Rate = None,
    base_url: s.BaseUrl = None,
    device: s.Device = "auto",
    batch_tokens: s.BatchTokens = None,
    label_map: s.LabelMap = None,
    revision: s.Revision = None,
    calibration: s.Calibration = None,
    text_field: s.TextField = None,
    language: s.Language = None,
    language_field: s.LanguageField = None,
    emit: s.Emit = None,
    overwrite: s.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Score the texts of a file: its lines again, each text as `{"text", "toxicity", …}`.

    Each different text is asked about once. Stopped at any moment, the same command goes on and asks nothing twice.
    While requests have failed the exit code is 5; the same command asks these again.
    """
    from goodctl.cli import render_score, writing
    from goodctl.scoring.attributes import parse_attributes
    from goodctl.scoring.protocol import ScorerOptions
    from goodctl.workflows import score as work
    from goodctl.workflows.effects import check_scorer_effects
    from goodctl.workflows.score_choice import ScoreChoice, ScoreRun

    console = Output(as_json=json, quiet=quiet)
    check_scorer_effects(scorer, writing.given(context))
    options = ScorerOptions(
        parse_attributes(attributes),
        emit is not None,
        rate,
        base_url,
        None if device == "auto" else device,
        batch_tokens,
        label_map,
        revision,
    )
    asked = ScoreChoice(texts, scorer, out, options, text_field, language, language_field, calibration, emit, overwrite)
    with writing.resumable(console) as (_, report):
        result = work.score(asked, ScoreRun(report))
    console.result(result.to_dict(), *render_score.scored(result))
    if result.error is not None:
        console.failure(result.error)
        raise typer.Exit(result.error.exit_code)


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(
        epilog="Example: goodctl score steered.jsonl --scorer profanity --language en --out steered.scored.jsonl"
    )(score)
