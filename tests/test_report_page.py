"""The page as a reader gets it: inert whatever the text, offline, legible, and the same every time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from playwright.sync_api import Page as Tab

from rbridge.answers.rank import RankQuestion, rank_groups
from rbridge.records import Labels, Trace, TraceKey
from rbridge.report import ComparisonRow, Gain, Page, RecordedTargets, build_page, heat_map, render
from rbridge.report.render import printable, shade, short_name
from rbridge.report.svg import svg_text
from rbridge.store.bundles import WeightModel
from rbridge.store.runs import RunStore, SkipRow
from tests.reports import (
    QUESTION,
    REASONING,
    make_bundle,
    make_manifest,
    make_page,
    make_traces,
    score_trace,
    write_table,
)

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = (
    "</script></style></title><script>window.pwned=1</script><b>bold</b><img src=x onerror=window.pwned=1>"
    '" onmouseover="window.pwned=1" \' &lt; {{ 7 * 7 }} ]]> <!-- \x00\x1b[31m\u202e\u2066 \ufffe {% x %}'
)
_VOID = {"meta", "link", "br", "img", "input", "hr"}


class _Outline(HTMLParser):
    """Elements, ids, references and visible text of a page; checks that tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in {"for", "aria-labelledby"} or (name == "href" and (value or "").startswith("#")):
                self.references.append((value or "").removeprefix("#"))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not set(self.open) & {"style", "title"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader can read."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with every part on it."""
    return make_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def html(page: Page) -> str:
    """That page as HTML."""
    return render(page)


def hostile_page(root: Path) -> Page:
    """A page on which every text that a stranger can choose is hostile."""
    trace = Trace(
        TraceKey(f"sums{HOSTILE}", f"1{HOSTILE}", f"voice{HOSTILE}"),
        f"{HOSTILE}\r\n\t é😀",
        question=HOSTILE,
        weight_source=HOSTILE,
    )
    model = WeightModel(
        name=HOSTILE, sha256=HOSTILE, dtype=HOSTILE, date=HOSTILE, shots=0, engine=HOSTILE, note=HOSTILE
    )
    bundle = make_bundle(
        root / "bundle", [trace], name=HOSTILE, weight_models=[model], licence=HOSTILE, note=HOSTILE
    )
    skip = SkipRow(benchmark=HOSTILE, problem_id=HOSTILE, voice=HOSTILE, reason=HOSTILE)
    manifest = make_manifest(
        HOSTILE,
        bundle,
        labels=Labels(recipe=HOSTILE, seed=1, size=HOSTILE),
        skipped=[skip],
        key="0" * 64,
        dtype=HOSTILE,
        device=HOSTILE,
        revision=HOSTILE,
        versions={HOSTILE: HOSTILE},
        question_sources={HOSTILE: HOSTILE},
        weight_sources=[HOSTILE],
    )
    scored = score_trace(trace, 1.0, np.random.default_rng(0))
    run = RunStore(root / "runs").finish(manifest, [scored])
    names = [f"{number}{HOSTILE}" for number in range(5)]
    for_table = [
        [name.replace("\x00", "\x01"), n, n % 3, HOSTILE.replace("\x00", "")] for n, name in enumerate(names)
    ]
    table = write_table(root / "t.csv", ["recipe", "loss<b>", "acc<b>", "benchmark"], for_table)
    question = RankQuestion(table, proxy="loss<b>", lower=True, target="acc<b>")
    groups = rank_groups(question)
    rows = [
        ComparisonRow.of(
            groups[0],
            kind="score",
            name=HOSTILE,
            meaning=HOSTILE,
            gains=(Gain(HOSTILE, 0.1, (0.0, 0.2), resampled=HOSTILE),),
        )
    ]
    return build_page(
        title=HOSTILE,
        now=HOSTILE,
        groups=groups,
        comparison=rows,
        runs=[run],
        bundles=[bundle],
        heatmaps=[heat_map(trace, scored, checkpoint=HOSTILE)],
        recorded_targets=RecordedTargets(HOSTILE, HOSTILE, HOSTILE, note=HOSTILE),
    )


# --- markup ---


def test_the_page_is_well_formed(html: str) -> None:
    """Tags nest, ids are unique, and every reference has its target."""
    outline = _Outline(html)
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert outline.tags.count("h1") == 1
    assert outline.tags.count("table") == outline.tags.count("caption")
    assert "script" not in outline.tags


def test_the_page_asks_the_network_for_nothing(html: str) -> None:
    """No address, no script, no import; the browser is told to refuse them too."""
    assert "://" not in html
    assert not re.search(r"<script|@import|<iframe|javascript:", html, re.IGNORECASE)
    assert "default-src 'none'" in html


def test_charts_keep_their_ids_and_texts_apart() -> None:
    """Two charts on one page share no id; a name that looks like markup of ours is left as it is."""
    import altair as alt

    name = ' class="x" id="y" 1.23456 xmlns="z"'
    values = alt.Data(values=[{"x": 1, "name": name}])
    chart = alt.layer(alt.Chart(values).mark_text(clip=True).encode(x="x:Q", text="name:N"))
    one, other = (_Outline(svg_text(chart, ident, "a chart")) for ident in ("one", "other"))
    assert len(one.ids) > 1
    assert not set(one.ids) & set(other.ids)
    clips = [value for key, value in one.attributes if key == "clip-path"]
    assert clips
    assert {(clip or "").removeprefix("url(#").removesuffix(")") for clip in clips} <= set(one.ids)
    assert name.strip() in one.text
    assert ("role", "img") in one.attributes
    assert ("aria-label", "a chart") in one.attributes


def test_every_part_stands_in_its_place(html: str) -> None:
    """In the order in which a reader asks."""
    order = [
        html.index(f'id="{part}"')
        for part in ("rankings", "targets", "keep", "scores", "tokens", "provenance")
    ]
    assert order == sorted(order)
    text = _Outline(html).text
    for expected in ("Five recipes", "No gain shown", "Recorded targets.", "rbridge miniature targets"):
        assert expected in text


def test_tables_say_n_interval_null_and_direction(html: str) -> None:
    """What a sceptic needs stands on the table that has the figure."""
    captions = [
        " ".join(_Outline(found).text.split())
        for found in re.findall(r"<caption.*?</caption>", html, re.DOTALL)
    ]
    ranking = next(caption for caption in captions if caption.startswith("5 recipes by rbridge"))
    assert "lower is better; nats/token; n = 12 traces" in ranking
    assert any("higher is better; n = 5 recipes" in caption for caption in captions)
    assert any("nulls are 0 and 0.5" in caption for caption in captions)
    text = _Outline(html).text
    for expected in (
        "95 % interval",
        "10 pairs of 5 recipes",
        "Rule, the same for every page",
        "Lower is better in",
    ):
        assert expected in text


def test_no_missing_number_is_printed_as_a_word(html: str) -> None:
    """Neither None nor nan, neither in the text nor in an attribute."""
    outline = _Outline(html)
    said = " ".join([outline.text, *(value or "" for _, value in outline.attributes)])
    assert not re.search(r"\b(None|nan|NaN|inf|undefined)\b", said)


@pytest.mark.parametrize("value", [None, 0.5, float("nan"), True])
def test_only_formatted_values_can_be_printed(value: object) -> None:
    """A forgotten format is an error of ours, not a figure with seventeen digits."""
    with pytest.raises(TypeError, match="reached the page without a format"):
        printable(value)


def test_the_same_data_give_the_same_page(page: Page, html: str) -> None:
    """No clock, no random id: pages can be compared."""
    assert render(page) == html


def test_the_page_is_small(html: str) -> None:
    """An e-mail's worth."""
    assert len(html.encode()) < 400_000


def test_an_empty_page_renders() -> None:
    """Every part is optional."""
    outline = _Outline(render(build_page(title="Nothing yet", now="2026-11-24")))
    assert "No run and no ranking stands on this page." in outline.text
    assert outline.tags.count("section") == 1


def test_text_can_be_left_out(tmp_path: Path) -> None:
    """No word of trace or question is left, not even in an attribute; the figures are."""
    html = render(make_page(tmp_path, show_text=False))
    assert "Finn" not in html
    assert "Okay" not in html
    assert "Text left out on request" in html
    assert html.count('class="t"') == 8
    assert "Finn" in render(make_page(tmp_path / "with"))
    assert {REASONING, QUESTION}  # what was looked for


def test_a_trace_without_weights_shows_its_losses(page: Page) -> None:
    """No toggle for what is not there."""
    trace = make_traces("sums", 1)[0]
    scored = score_trace(trace, 1.0, np.random.default_rng(0), weighed=False)
    html = render(replace(page, heatmaps=(heat_map(trace, scored, checkpoint="c"),)))
    assert "no weights, so losses only" in html
    assert html.count('type="radio"') == 1
    assert "Confidence</label>" not in html


def test_a_target_that_matches_no_recipe_is_said(page: Page) -> None:
    """An empty chart would be a riddle."""
    bare = replace(page.scatters[0], points=(), without_target=("good",))
    assert "there is nothing to draw" in render(replace(page, scatters=(bare,)))


def test_small_helpers() -> None:
    """Long paths keep their end, shades are short numbers."""
    assert short_name("a" * 50 + "/ckpt") == "…" + ("a" * 50 + "/ckpt")[-43:]
    assert short_name("ckpt") == "ckpt"
    with pytest.raises(ValueError, match="no shade"):
        shade(float("nan"))


# --- hostile text ---


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hostile page as HTML."""
    return render(hostile_page(tmp_path_factory.mktemp("hostile")))


def test_hostile_text_is_text(hostile: str) -> None:
    """It opens no tag, closes none, runs no template, and stands on the page to be read."""
    outline = _Outline(hostile)
    assert not set(outline.tags) & {"script", "img"}
    assert {name for name, _ in outline.attributes if name.startswith("on")} == set()
    assert "<script>window.pwned=1</script>" in outline.text
    assert "{{ 7 * 7 }}" in outline.text
    assert outline.tags.count("style") == outline.tags.count("title") == 1


def test_hidden_characters_are_written_out(hostile: str) -> None:
    """Nothing on the page can reorder or hide what stands beside it."""
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe]", hostile
    )
    for expected in ("␀", "␛", "⟨U+202E⟩", "⟨U+2066⟩", "⟨U+FFFE⟩", "␍"):
        assert expected in hostile


# --- in a browser ---


@dataclass(frozen=True)
class Opened:
    """A page in a browser, and what it complained of or asked for."""

    tab: Tab
    complaints: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a network of its own."""
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is missing: CI installs it before the tests")
        pytest.skip("chromium not installed")
    with sync_playwright() as play:
        launched = play.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield launched
        launched.close()


def show(context: BrowserContext, path: Path) -> Opened:
    """Open a file and listen."""
    tab = context.new_page()
    opened = Opened(tab, [], [])
    tab.on("console", lambda message: opened.complaints.append(message.text))
    tab.on("pageerror", lambda error: opened.complaints.append(str(error)))
    tab.on("request", lambda request: opened.requests.append(request.url))
    tab.goto(path.as_uri())
    return opened


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["html", "hostile"])
def test_the_page_opens_offline_without_scripts(
    which: str, width: int, scheme: str, browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One request, its own file; no complaint; nothing sticks out to the side."""
    path = tmp_path / "page.html"
    path.write_text(request.getfixturevalue(which), encoding="utf-8")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, java_script_enabled=False
    )
    opened = show(context, path)
    assert opened.requests == [path.as_uri()]
    assert opened.complaints == []
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= width
    sticking = opened.tab.evaluate(
        """() => [...document.querySelectorAll("main > section, header, article > *, figure svg")]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert sticking == []
    context.close()


def test_hostile_text_runs_nothing_where_scripts_may_run(
    browser: Browser, hostile: str, tmp_path: Path
) -> None:
    """With JavaScript on, still nothing happens."""
    path = tmp_path / "page.html"
    path.write_text(hostile, encoding="utf-8")
    context = browser.new_context(offline=True)
    opened = show(context, path)
    opened.tab.locator(".t").first.hover()
    assert opened.tab.evaluate("window.pwned === undefined")
    assert opened.requests == [path.as_uri()]
    context.close()


def test_views_of_the_tokens_switch_without_scripts(browser: Browser, html: str, tmp_path: Path) -> None:
    """Each label shades the tokens by another figure, and shows that figure's legend alone."""
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(offline=True, java_script_enabled=False)
    tab = show(context, path).tab
    backgrounds = set()
    for label, legends in (("Contribution", 1), ("Loss", 1), ("Confidence", 1), ("All three", 3)):
        tab.get_by_text(label, exact=True).and_(tab.locator("label")).click()
        backgrounds.add(tab.locator(".t").first.evaluate("e => getComputedStyle(e).background"))
        assert tab.locator(".legend:visible").count() == legends
    assert len(backgrounds) == 4
    context.close()


def test_the_page_prints_on_a4(browser: Browser, html: str, tmp_path: Path) -> None:
    """Nothing is cut off at the right edge of the paper, and the toggles give way to all three views."""
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(viewport={"width": 695, "height": 980}, offline=True)
    tab = show(context, path).tab
    tab.emulate_media(media="print")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 695
    assert tab.locator(".legend:visible").count() == 3
    assert tab.locator("label:visible").count() == 0
    assert tab.pdf(format="A4").startswith(b"%PDF")
    context.close()


# --- contrast ---


def _colours(css: str) -> list[dict[str, tuple[float, ...]]]:
    """Custom colours of the light and of the dark scheme."""
    blocks = [
        re.sub(r"/\*.*?\*/", "", block) for block in re.findall(r":root \{(.*?)\n *\}", css, re.DOTALL)
    ][:2]
    found = []
    for block in blocks:
        hexes = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block)
        triples = re.findall(r"--([a-z-]+): (\d+) (\d+) (\d+);", block)
        colours = {name: tuple(int(code[i : i + 2], 16) for i in (0, 2, 4)) for name, code in hexes}
        colours |= {name: (int(r), int(g), int(b)) for name, r, g, b in triples}
        (tint,) = re.findall(r"--tint: ([0-9.]+);", block)
        found.append({**colours, "tint": (float(tint),)})
    return found


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_in_both_schemes(scheme: int) -> None:
    """At least 4.5 to 1 for every text colour on paper and band, and for tokens at full shade."""
    css = files("rbridge.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    colours = _colours(css)[scheme]
    for ground in ("paper", "band"):
        for ink in ("ink", "muted", "accent", "warn"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    (tint,) = colours["tint"]
    for hue in ("hue-c", "hue-l", "hue-w"):
        pairs = zip(colours["paper"], colours[hue], strict=True)
        shaded = tuple(paper * (1 - tint) + full * tint for paper, full in pairs)
        assert _contrast(colours["ink"], shaded) >= 4.5, hue
