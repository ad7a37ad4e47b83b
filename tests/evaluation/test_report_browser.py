"""The report page in a real browser, headless and without any network."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from goodctl.evaluation.report import write_report
from tests.evaluation.evaluations import usual
from tests.evaluation.reading_pages import Page

image = pytest.importorskip("PIL.Image", reason="plots need the extra 'report'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = os.environ.get("GOODCTL_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: apt-get install chromium, or name it in GOODCTL_BROWSER"
)

SERIES = {"light": ((11, 108, 179), (194, 78, 0)), "dark": ((95, 178, 242), (255, 154, 92))}
GROUND = {"light": (255, 255, 255), "dark": (20, 23, 28)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(usual(), path)
    return path


def browse(page: Path, profile: Path, *arguments: str) -> bytes:
    """What the browser prints."""
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",  # it runs as root in containers
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
        *arguments,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 500)])
def test_the_page_is_drawn(report: Path, tmp_path: Path, scheme: str, width: int) -> None:
    shot = tmp_path / "shot.png"
    preferred = {"light": 1, "dark": 0}[scheme]
    browse(
        report, tmp_path / "profile", f"--screenshot={shot}", f"--window-size={width},2600",
        f"--blink-settings=preferredColorScheme={preferred}",
    )  # fmt: skip
    drawn = image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    assert drawn.size[0] == width
    counts = {colour: count for count, colour in drawn.getcolors(maxcolors=drawn.size[0] * drawn.size[1])}
    pixels = sum(counts.values())
    assert counts[GROUND[scheme]] > pixels / 2
    assert len(counts) > 100  # letters have soft edges
    for colour in SERIES[scheme]:
        assert counts.get(colour, 0) > 1000, f"the plots lack {colour}"
    # The lower half, where the tables are, is written on too.
    lower = drawn.crop((0, 1600, width, 2600)).getcolors(maxcolors=pixels)
    assert sum(count for count, colour in lower if colour != GROUND[scheme]) > 5000
    # Nothing is wider than the window: its right edge is empty.
    edge = drawn.crop((width - 6, 0, width, 2600)).getcolors(maxcolors=pixels)
    assert [colour for _, colour in edge] == [GROUND[scheme]]


def test_the_browser_reads_what_was_written(report: Path, tmp_path: Path) -> None:
    written = Page.of(report.read_text(encoding="utf-8"))
    parsed = Page.of(browse(report, tmp_path / "profile", "--dump-dom").decode("utf-8"))
    for tag in ("table", "tbody", "tr", "td", "figure", "svg", "use", "details", "summary", "li", "bdi"):
        assert len(parsed.all(tag)) == len(written.all(tag)), tag
    assert len(parsed.all("figure")) == 4
    assert len(parsed.all("table")) > 5
    assert [each.text for each in parsed.all("td")] == [each.text for each in written.all("td")]
