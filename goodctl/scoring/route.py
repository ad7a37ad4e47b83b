"""The scorer ``route:FILE``: per language, which scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

from goodctl.errors import GoodctlError
from goodctl.scoring import registry
from goodctl.scoring.identity import compared
from goodctl.scoring.languages import entry_for
from goodctl.scoring.protocol import Identity, NotScored, Outcome, Request, Scorer, ScorerOptions, warnings_of
from goodctl.scoring.route_file import Route, read_routes

NAME = "route"
VERSION = "1"
"""Of how an entry is chosen for a language."""
MOST_HELD = 1024
"""Requests that wait for their scorer at most, all scorers together."""

Open = Callable[[str, ScorerOptions], Scorer]


class RouteScorer:
    """Passes each text to the scorer of its language.

    Scorers are opened when they are first needed; routes with the same scorer and options share one. Texts are
    collected until enough wait for one scorer, which then answers them all: scorers take turns, so that two models are
    never at work at once, and each gets large batches.

    Args:
        path: The file, for the name.
        routes: Language or ``*`` to route.
        open_one: Opens a scorer by name.
    """

    def __init__(self, path: str, routes: Mapping[str, Route], open_one: Open) -> None:
        self._path = path
        self._routes = dict(routes)
        self._open_one = open_one
        self._opened: dict[tuple[str, ScorerOptions], Scorer] = {}
        self._chosen: dict[str | None, str | None] = {}

    @property
    def identity(self) -> Identity:
        """Of all scorers together. Opens them all."""
        routes = {
            language: {**compared(self._scorer(language).identity), "attributes": list(route.options.attributes)}
            for language, route in self._routes.items()
        }
        return Identity(f"{NAME}:{self._path}", VERSION, {"routes": routes})

    def attributes_for(self, language: str | None) -> tuple[str, ...]:
        """As the language's scorer says; none for a language without a route."""
        entry = self._entry(language)
        return () if entry is None else self._scorer(entry).attributes_for(language)

    def outcomes(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Outcome]]:
        """Each request with the outcome of its language's scorer."""
        waiting: dict[int, tuple[Scorer, list[Request]]] = {}
        held = 0
        for request in requests:
            entry = self._entry(request.language)
            if entry is None:
                yield request, _without_route(request)
                continue
            scorer = self._scorer(entry)
            waiting.setdefault(id(scorer), (scorer, []))[1].append(request)
            held += 1
            if held >= MOST_HELD:
                largest = max(waiting, key=lambda each: len(waiting[each][1]))
                scorer, batch = waiting.pop(largest)
                held -= len(batch)
                yield from scorer.outcomes(batch)
        for scorer, batch in waiting.values():
            yield from scorer.outcomes(batch)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the scorers that were opened so far."""
        return tuple(dict.fromkeys(text for scorer in self._opened.values() for text in warnings_of(scorer)))

    def close(self) -> None:
        """Close all that was opened, also where closing one fails."""
        with ExitStack() as stack:
            for scorer in self._opened.values():
                stack.callback(scorer.close)
            self._opened = {}

    def _entry(self, language: str | None) -> str | None:
        if language not in self._chosen:
            self._chosen[language] = entry_for(language, self._routes)
        return self._chosen[language]

    def _scorer(self, entry: str) -> Scorer:
        route = self._routes[entry]
        key = (route.scorer, route.options)
        if key not in self._opened:
            try:
                self._opened[key] = self._open_one(route.scorer, route.options)
            except GoodctlError as error:
                raise type(error)(f"{self._path}, route {entry!r}: {error.message}", hint=error.hint) from error
        return self._opened[key]


def _without_route(request: Request) -> NotScored:
    if not request.text.strip():
        return NotScored("empty", "The text is empty.")
    if request.language is None:
        return NotScored("language", "The text's language is unknown, and there is no route for that.")
    return NotScored("language", f"There is no route for {request.language}.")


def open_scorer(argument: str, options: ScorerOptions) -> RouteScorer:
    """Opens the scorer of a file of routes.

    Raises:
        NotFoundError: There is no such file.
        InputError: The file is wrong, or leads to a scorer that does not exist.
    """
    return RouteScorer(argument, read_routes(argument, options), registry.open_scorer)
