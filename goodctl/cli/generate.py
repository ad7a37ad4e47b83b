"""``goodctl generate``."""

from __future__ import annotations

import typer

from goodctl.cli import options as o
from goodctl.cli import options_generate as g
from goodctl.cli.output import Output


def generate(
    context: typer.Context,
    prompts: g.PromptsFile,
    out: g.Out,
    model: g.BaseModel = None,
    method: g.Method = None,
    toxic: g.Toxic = None,
    nontoxic: g.Nontoxic = None,
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
    top_p: g.TopP = 0.9,
    num_return_sequences: g.NumReturnSequences = 25,
    max_new_tokens: g.MaxNewTokens = 20,
    seed: g.Seed = 0,
    num_prompts: g.NumPrompts = None,
    prompt_field: g.PromptField = None,
    batch_size: g.BatchSize = "auto",
    explain: g.Explain = 0,
    overwrite: g.Overwrite = False,
    revision: o.Revision = None,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    check: o.Check = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Continue the prompts of a file, steered by datastores: one line a prompt, with its columns and `generations`.

    Stopped at any moment, the same command goes on and ends with the same bytes. A manifest beside the output says how
    it was made.
    """
    from goodctl.cli import render_generate, writing
    from goodctl.steering.decode import Sampling
    from goodctl.workflows import generate as work
    from goodctl.workflows import parsing
    from goodctl.workflows.generate_choice import GenerateChoice, GenerateRun
    from goodctl.workflows.model_choice import ModelChoice
    from goodctl.workflows.steering_choice import chosen

    console = Output(as_json=json, quiet=quiet)
    steering = chosen(
        method, toxic=toxic, nontoxic=nontoxic, store=store, expert=expert, antiexpert=antiexpert, alpha=alpha,
        k=k, k_nontoxic=k_nontoxic, temperature=parsing.temperature(temperature), filter_p=filter_p, lam=lam,
        fidelity=fidelity, preset=preset,
    ).check_effects(writing.given(context))  # fmt: skip
    asked = GenerateChoice(
        prompts,
        out,
        Sampling(num_return_sequences, max_new_tokens, top_p, seed),
        parsing.count(batch_size, "--batch-size"),
        num_prompts,
        prompt_field,
        explain,
        overwrite,
        check,
    )
    base = ModelChoice(model, revision, device, precision, trust_remote_code)
    with writing.resumable(console) as (interruption, report):
        result = work.generate(asked, steering, base, GenerateRun(interruption, report))
    console.result(result.to_dict(), *render_generate.generated(result))


def register(app: typer.Typer) -> None:
    """Add the command to ``goodctl``."""
    app.command(epilog="Example: goodctl generate prompts.jsonl --toxic toxic --nontoxic nontoxic --out steered.jsonl")(
        generate
    )
