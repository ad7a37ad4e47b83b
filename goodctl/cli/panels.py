"""The order in which ``goodctl --help`` shows the commands, along the way that users take, with a line for each."""

from __future__ import annotations

from typing import Any, NamedTuple

from typer.core import TyperGroup

STORES = "Datastores"
STEER = "Steer"
SCORE = "Score and evaluate"
WHOLE = "The whole way"
HERE = "This installation"


class Shown(NamedTuple):
    """How a command is shown."""

    panel: str
    line: str | None = None
    """What it is for; None takes the first line of its own help."""


COMMANDS = {
    "datastore": Shown(STORES, "Build stores of hidden states, search them, keep their versions."),
    "generate": Shown(STEER, "Continue prompts, steered by datastores or by other models."),
    "perplexity": Shown(STEER, "Measure a model on text, with and without a datastore."),
    "score": Shown(SCORE, "Score texts for toxicity: a service, a classifier, a plug-in."),
    "evaluate": Shown(SCORE, "Figures with intervals, comparisons, a report page."),
    "agree": Shown(SCORE, "Compare two scorers, and map the scores of one to the other."),
    "serve": Shown(SCORE, "Offer a scorer to programs that speak the Perspective protocol."),
    "demo": Shown(WHOLE, "See all of it in a few minutes, on texts that come along."),
    "run": Shown(WHOLE, "Generate, score and evaluate in one folder, and go on anywhere."),
    "doctor": Shown(HERE, "Does it work here? What is missing, and why is it slow?"),
}
"""In order. A command that is not here is shown before all, in a panel that says nothing."""


class Grouped(TyperGroup):
    """The root command: its commands in panels, in the order of ``COMMANDS``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        places = list(COMMANDS)
        order = sorted(self.commands, key=lambda name: places.index(name) if name in COMMANDS else -1)
        self.commands = {name: self.commands[name] for name in order}
        for name, command in self.commands.items():
            if name in COMMANDS:
                shown: Any = command  # click's own commands know no panels
                shown.rich_help_panel, line = COMMANDS[name]
                shown.short_help = line or command.short_help
