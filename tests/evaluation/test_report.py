from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from goodctl.errors import MissingDependency, ServiceError
from goodctl.evaluation.figure import Figure
from goodctl.evaluation.report import report_page, write_report
from goodctl.evaluation.results import Bootstrap, Evaluation
from tests.evaluation.evaluations import OPENINGS, evaluation, file, rows, usual
from tests.evaluation.reading_pages import Page

pytest.importorskip("matplotlib", reason="plots need the extra 'report'")

HARMFUL = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "input", "a"}
SURROUND = "\u2068\u202e<b>&amp;\"'`$x_1$"


@pytest.fixture(scope="module")
def whole() -> Evaluation:
    return usual()


@pytest.fixture(scope="module")
def text(whole: Evaluation) -> str:
    return report_page(whole)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page.of(text)


def harmless(page: Page) -> None:
    """Nothing on a page runs, loads, or leads away."""
    assert not HARMFUL & {each.tag for each in page.elements}
    for each in page.elements:
        for name, value in each.attributes.items():
            assert not name.startswith("on"), each
            assert name not in {"src", "srcset", "action", "data", "poster", "xlink:href"}, each
            assert name != "href" or value.startswith("#"), each
            if name == "style":
                assert not re.search(r"url\((?!#)", value), each


def test_the_page_loads_nothing(text: str, page: Page) -> None:
    harmless(page)
    (policy,) = [each for each in page.all("meta") if each.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert not re.search(r"https?:|//|@import|url\((?!#)", re.sub(r"<!--.*?-->", "", text))


def test_it_is_one_document(text: str, page: Page) -> None:
    assert text.startswith("<!DOCTYPE html>")
    identifiers = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    assert len(identifiers) == len(set(identifiers))
    for each in page.all("use"):
        assert each.attributes["href"].removeprefix("#") in identifiers
    for wanted in re.findall(r"url\(#([^)]*)\)", text):
        assert wanted in identifiers
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_every_figure_stands_in_a_table(whole: Evaluation, page: Page) -> None:
    cells = {" ".join(each.text.split()) for each in page.all("td")}
    shown = " ".join(cells)
    checked = 0

    def check(figure: Figure | None, form: str) -> None:
        nonlocal checked
        if figure is None or figure.value is None:
            return
        checked += 1
        number = f"{figure.value:{form}}".replace("-", "−")
        found = [cell for cell in cells if cell.startswith(number)]
        assert found, number
        assert any(f"n {figure.count:,}" in cell for cell in found)
        if figure.missing:
            assert any(f"{figure.missing:,} missing" in cell for cell in found)
        if figure.low is not None and figure.high is not None:
            assert f"{figure.low:{form}} to {figure.high:{form}}".replace("-", "−") in shown

    for each in (part for one in whole.files for part in one.slices):
        for figure in (each.emt, each.toxicity_probability, each.mean, each.toxic_share, *each.dist):
            check(figure, ".3f")
        check(each.perplexity, ",.1f")
        check(each.perplexity_pooled, ",.1f")
        assert f"{each.continuations:,}" in cells
    for pair in (part for one in whole.comparisons for part in one.slices):
        for figure in (pair.emt, pair.toxicity_probability, pair.mean):
            check(figure, "+.3f")
        check(pair.perplexity, "+,.1f")
    assert checked > 300


def test_tables_can_be_read_by_ear(whole: Evaluation, page: Page) -> None:
    for each in page.all("th"):
        assert each.attributes["scope"] in {"col", "row", "rowgroup"}
    for drawn in page.all("div", class_="plot"):
        assert drawn.attributes["role"] == "img"
        assert len(drawn.attributes["aria-label"]) > 40
    assert len(page.all("figure")) == 4
    emt = whole.files[0].slices[2].emt
    assert f"base {emt.value:.3f} ({emt.low:.3f} to" in page.all("div", class_="plot")[0].attributes["aria-label"]


def test_texts_are_hidden_until_they_are_opened(whole: Evaluation, page: Page) -> None:
    texts = [each for each in page.elements if "text" in each.attributes.get("class", "").split()]
    assert texts
    assert all(each.within("details") and each.attributes["dir"] == "auto" for each in texts)
    assert not [each for each in page.all("details") if "open" in each.attributes]
    outside = " ".join(each.text for each in page.all("summary")) + page.all("header")[0].text
    for row in whole.files[0].rows:
        assert row.prompt not in outside
    assert "may be offensive" in page.all("section", class_="texts")[0].text
    first = whole.comparisons[0].changed[0]
    summary = page.all("details", class_="prompt")[0].text
    for place, number in ((0, first.first_row), (1, first.second_row)):
        assert f"{whole.files[place].rows[number].maximum:.3f}" in summary


def test_the_same_evaluation_gives_the_same_bytes(whole: Evaluation, text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(whole, path)
    write_report(usual(), path)
    assert path.read_text(encoding="utf-8") == text
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_the_users_own_plot_settings_change_nothing(whole: Evaluation, text: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 40, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert report_page(whole) == text
        assert matplotlib.rcParams["font.size"] == 40


def test_a_page_that_cannot_be_written_leaves_the_old_one(whole: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be written"):
        write_report(whole, tmp_path / "nosuch" / "report.html")
    page = tmp_path / "report.html"
    page.mkdir()
    with pytest.raises(ServiceError, match="cannot be written"):
        write_report(whole, page)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"], "no part of the new one is left"


def test_without_matplotlib_the_line_that_installs_it_is_said(
    whole: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency) as caught:
        report_page(whole)
    assert caught.value.hint == "pip install 'goodctl[report]'"


def test_a_single_file_without_groups_and_perplexity() -> None:
    one = evaluation(
        file("only", rows([None], 12, 0.1), perplexity=False), group_by=None, perplexity_model=None,
        bootstrap=Bootstrap(resamples=0),
    )  # fmt: skip
    found = Page.of(report_page(one))
    titles = [each.text for each in found.all("h3")]
    assert titles == ["Toxicity", "Diversity", "Counts", "only: the most toxic prompts"]
    assert [each.text for each in found.all("figcaption")] == [
        "Expected maximum toxicity", "Distribution of maximum toxicity",
    ]  # fmt: skip
    maxima = [float(each.text) for each in found.all("span", class_="maximum")]
    assert maxima == sorted(maxima, reverse=True)
    assert len(maxima) == 12
    assert "file" not in [each.text for each in found.all("th", scope="col")]
    assert "No intervals were asked for" in found.all("details", class_="how")[0].text


def test_an_evaluation_without_any_score_has_a_page() -> None:
    empty = tuple(
        replace(row, scores=(None,) * len(row.scores), maximum=None, mean=None, perplexity=None)
        for row in rows(["en"], 3, 0.1)
    )
    found = Page.of(report_page(evaluation(file("none", empty))))
    assert "no prompt with a score" in found.all("article")[0].text
    assert not found.all("figure")
    assert not found.all("details", class_="prompt")


def test_a_large_evaluation_has_a_bounded_page() -> None:
    groups = [f"group {number}" for number in range(90)]
    files = [file(f"run {number}", rows(groups, 1, 0.1 - 0.01 * number, continuations=40)) for number in range(3)]
    text = report_page(evaluation(*files))
    found = Page.of(text)
    assert len(text) < 3_500_000
    assert len(found.all("details", class_="prompt")) == 36
    assert len([each for each in found.all("li") if each.within("details")]) <= 36 * 2 * 25
    assert "15 more continuations" in text
    assert "The first 66 of 90 groups are shown" in " ".join(text.split())
    fewer = Page.of(report_page(evaluation(*files[:1])))
    assert "group 89" in [each.text for each in fewer.all("bdi")]
    assert "The first 40 of 90 groups." in " ".join(each.text for each in fewer.all("figure"))


HOSTILE = st.text(max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "]]></svg><script>",
        '" onmouseover="alert(1)',
        "{{ 7 * 7 }}",
        "\ud800",
        "\u202e",
        "&#60;",
    ]
)


@settings(
    max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)  # a page takes a second, too long to look for the smallest example
@given(strings=st.lists(HOSTILE, min_size=6, max_size=6, unique=True))
def test_hostile_strings_stay_text(page: Page, strings: list[str]) -> None:
    name, other, group, prompt, continuation, setting = strings
    shift = {"base": 0.1, "steered": 0.0}
    files = []
    for own, amount in zip((name, other), shift.values(), strict=True):
        made = tuple(
            replace(row, prompt=prompt, texts=(continuation,) * len(row.texts))
            for row in rows([group, "en"], 3, amount)
        )
        files.append(replace(file(own, made), settings={setting: {setting: [setting]}}, missing_reasons={setting: 1}))
    text = report_page(evaluation(*files, notes=(setting,), group_by=group, versions={name: other}, date=setting))
    text.encode("utf-8")
    found = Page.of(text)
    harmless(found)
    assert {each.tag for each in found.elements} <= {each.tag for each in page.elements}
    known_attributes = {attribute for each in page.elements for attribute in each.attributes}
    assert {attribute for each in found.elements for attribute in each.attributes} <= known_attributes
    assert len(found.all("figure")) >= 3


def test_names_and_texts_of_all_scripts_arrive(text: str) -> None:
    for language in OPENINGS:
        assert f">{language}<" in text
    strange = replace(file(SURROUND, rows([SURROUND], 3, 0.1)), settings={"model": SURROUND})
    found = Page.of(report_page(evaluation(strange)))
    shown = "U+2068U+202E<b>&amp;\"'`$x_1$"
    assert shown in found.all("h2")[0].text
    assert shown in [each.text for each in found.all("th", scope="rowgroup")][3]
    labels = [each.text for each in found.all("text")]
    assert any("<b>&amp;" in each for each in labels)
