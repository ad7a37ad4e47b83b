"""How plots of the report page are drawn: as SVG that takes its colours and its font from the page around it."""

from __future__ import annotations

import contextlib
import io
import re
import unicodedata
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from goodctl.errors import MissingDependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 460
"""Of a plot, in CSS pixels, as are all sizes here. Small, so that letters stay readable on a phone."""
TEXT_SIZE = 13
LONGEST_LABEL = 150
SERIES = 6
MARKERS = ("o", "s", "^", "D", "v", "P")
# Colours that stand for the page's own, which differ between light and dark.
TEXT = "#e00001"
GRID = "#e00002"
RULE = "#e00003"
_SERIES_COLOURS = tuple(f"#f0000{number}" for number in range(1, SERIES + 1))
_PAGE_COLOURS = {
    TEXT: "var(--text)",
    GRID: "var(--grid)",
    RULE: "var(--muted)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES_COLOURS, start=1)},
}
_POINTS = 72
_WIDE, _NARROW = 1.0, 0.62  # of a letter, by its size


def require_plots() -> None:
    """Make sure that plots can be drawn, before anything is computed for them.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib.figure
        import matplotlib.style  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"The report's plots need matplotlib ({error}).", hint="pip install 'goodctl[report]'"
        ) from error


def colour(number: int) -> str:
    """The colour of a file by its place, from 0."""
    return _SERIES_COLOURS[number % SERIES]


def marker(number: int) -> int:
    """Place in ``MARKERS`` of a file's mark, so that more files than colours can be told apart."""
    return (number + number // SERIES) % len(MARKERS)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Settings of the library that hold while inside, whatever the user's own are."""
    require_plots()
    import matplotlib.style

    settings = {
        "svg.fonttype": "none",  # letters stay letters: of the page's font, readable by machines
        "text.parse_math": False,  # a dollar in a name is a dollar
        "axes.unicode_minus": True,
        "font.size": TEXT_SIZE,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), TEXT),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), RULE),
        "grid.color": GRID,
        "grid.linewidth": 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.axisbelow": True,
    }
    with matplotlib.style.context(settings, after_reset=True), warnings.catch_warnings():
        # The library's own font, which only measures, lacks most scripts; the browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def canvas(height: float, *, left: float, bottom: float = 46, right: float = 14, top: float = 8) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; height and margins in pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / _POINTS, height / _POINTS), dpi=_POINTS)
    box = (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    return figure, figure.add_axes(box)


def svg(figure: Figure, name: str) -> str:
    """The figure as an ``svg`` element for a page: the same bytes for the same figure.

    Args:
        figure: What was drawn.
        name: Of the plot, unique on the page, so that no two plots share an id.
    """
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = name  # undone where ``drawing`` ends
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = re.sub(r"<svg[^>]*>", f'<svg viewBox="0 0 {WIDTH} {figure.get_figheight() * _POINTS:.0f}">', text, count=1)
    text = text.replace("xlink:href", "href")
    for placeholder, page in _PAGE_COLOURS.items():
        text = text.replace(placeholder, page)
    return text.strip()


def width(text: str) -> float:
    """About how wide a label is, in pixels; no font is asked, since it is the reader's."""
    return TEXT_SIZE * sum(_letter(each) for each in text)


def label(text: str) -> str:
    """A label on one line that leaves room for the plot."""
    plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    plain = re.sub(r"\s+", " ", plain).strip()
    shown = "".join(each for place, each in enumerate(plain) if not _piled(plain, place))
    if width(shown) <= LONGEST_LABEL:
        return shown or "(empty)"
    while width(shown) > LONGEST_LABEL - TEXT_SIZE:
        shown = shown[:-1]
    return f"{shown.rstrip()}…"


def _piled(text: str, place: int) -> bool:
    """Whether a letter stands on two others that stand on a letter, and so on: a pile that leaves its line."""
    return place >= 2 and all(_on_another(each) for each in text[place - 2 : place + 1])


def _letter(each: str) -> float:
    if _on_another(each):
        return 0.0
    return _WIDE if unicodedata.east_asian_width(each) in "WF" else _NARROW


def _on_another(each: str) -> bool:
    return unicodedata.category(each) in {"Mn", "Me"}
