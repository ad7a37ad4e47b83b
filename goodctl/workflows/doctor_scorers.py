"""Every scorer that can be asked for: whether it can be used now, for which languages, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from goodctl.scoring.registry import Listed, listed_scorers
from goodctl.workflows.doctor_findings import Finding, State, isolated
from goodctl.workflows.doctor_packages import PROFANITY, Errors
from goodctl.workflows.doctor_probes import Probes


def targets() -> tuple[str, ...]:
    """What the scorers of other packages import, as ``module:name``."""
    return tuple(_importable(each) for each in listed_scorers() if each.package is not None)


def scorers(probes: Probes, errors: Errors, *, offline: bool) -> Iterator[Finding]:
    """Each scorer of the registry."""
    for each in listed_scorers():
        yield from isolated(each.name, partial(_scorer, each, probes, errors, offline))


def _scorer(each: Listed, probes: Probes, errors: Errors, offline: bool) -> Iterator[Finding]:
    if each.package is not None:
        yield _plug_in(each, errors)
    elif each.name == "perspective":
        yield from _perspective(probes, offline)
    elif each.name == "profanity":
        yield _profanity(errors)
    elif each.name == "hf":
        yield _classifiers(errors)
    else:
        yield Finding(each.form, State.OK, "sends each language to a scorer of its own; languages: theirs")


def _perspective(probes: Probes, offline: bool) -> Iterator[Finding]:
    """The service: its key, its end, whether it answers. The key itself is never looked at."""
    from goodctl.scoring.perspective.address import GOOGLE
    from goodctl.scoring.perspective.answers import KEY_VARIABLE
    from goodctl.scoring.perspective.attributes import LANGUAGES
    from goodctl.scoring.perspective.scorer import LAST_DAY

    has_key = bool(probes.environment.get(KEY_VARIABLE, "").strip())
    details = {"languages": list(LANGUAGES), "key": has_key, "last_day": LAST_DAY.isoformat()}
    text = f"{KEY_VARIABLE} is {'set' if has_key else 'not set'}; {len(LANGUAGES)} languages: {', '.join(LANGUAGES)}"
    if has_key:
        yield Finding("perspective", State.OK, text, details=details)
    else:
        yield Finding("perspective", State.MISSING, text, f"export {KEY_VARIABLE}=KEY", details)
    over = probes.today() > LAST_DAY
    yield Finding(
        "perspective end",
        State.WARNING if over and has_key else State.INFO,
        f"the service {'has ended' if over else 'ends'} after 2026, as its owner says",
        "Use a local scorer, such as --scorer hf:unitary/toxic-bert.",
        {"last_day": LAST_DAY.isoformat(), "over": over},
    )
    if offline:
        return
    error = probes.reach(GOOGLE)
    if error is None:
        yield Finding("perspective address", State.OK, f"{GOOGLE} answers", details={"address": GOOGLE, "error": None})
    else:
        advice = "Check the network, and HTTPS_PROXY where there is a proxy." if has_key else None
        state = State.WARNING if has_key else State.INFO
        yield Finding("perspective address", state, f"{GOOGLE}: {error}", advice, {"address": GOOGLE, "error": error})


def _profanity(errors: Errors) -> Finding:
    from goodctl.scoring.profanity import LANGUAGES, PACKAGE

    error = errors[PROFANITY.packages[0].module]
    details = {"languages": list(LANGUAGES), "error": error}
    if error is None:
        return Finding("profanity", State.OK, f"can be used; languages: {', '.join(LANGUAGES)}", details=details)
    return Finding("profanity", State.MISSING, f"needs {PACKAGE} ({error})", PROFANITY.install, details)


def _classifiers(errors: Errors) -> Finding:
    from goodctl.scoring.known_classifiers import presets

    known = presets()
    details = {"known": {model: list(languages) for model, languages in known.items()}}
    if broken := next((name for name in ("torch", "transformers") if errors[name] is not None), None):
        return Finding("hf:MODEL", State.WARNING, f"cannot be used while {broken} is broken", details=details)
    text = f"can be used; languages: the model's; {len(known)} are known, such as {next(iter(known))}"
    return Finding("hf:MODEL", State.OK, text, details=details)


def _plug_in(each: Listed, errors: Errors) -> Finding:
    error = errors[_importable(each)]
    details = {"package": each.package, "target": each.target, "error": error}
    if each.hidden:
        text = f"of {each.package} cannot be asked for: there is another scorer of this name"
        return Finding(each.name, State.WARNING, text, f"pip uninstall {each.package}", details)
    if error is not None:
        text = f"of {each.package} cannot be used: {error}"
        return Finding(each.name, State.WARNING, text, f"pip install --upgrade {each.package}", details)
    return Finding(each.name, State.OK, f"can be used, from {each.package}; languages: its own", details=details)


def _importable(each: Listed) -> str:
    return each.target.partition(" ")[0]  # an entry point may name extras behind it
