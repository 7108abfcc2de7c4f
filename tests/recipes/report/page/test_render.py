"""The page in headless Chromium."""

import json
import shutil
import time
from itertools import pairwise

import pytest
from report_runs import write_run

from pico_maml.recipes.report import command as report
from pico_maml.trainers.runs.learning_dynamics import DynamicsFile, Row

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
HOSTILE = '<img src=x onerror=document.title="owned">&"q" <!--<script> $x^2$'
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a run with episodes and dynamics, a vanilla run, and a crashed run with a hostile name."""
    root = tmp_path_factory.mktemp("page")
    runs = [
        write_run(root / "demo", dynamics=True),
        write_run(root / "vanilla", episodes=False, seed=1),
        write_run(root / HOSTILE, steps=120, finished=False, seed=2),
    ]
    with (runs[-1] / "metrics.jsonl").open("a") as file:
        file.write('{"step": 130, "next_tok')
    return report.main([*map(str, runs), "--output", str(root / "out"), "--formats", "none"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (the extra test)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    """The page in a window of the given width and colour scheme, its charts drawn."""

    def go(width=1280, scheme="light"):
        browser.get_log("performance")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.as_uri())
        wait(browser, "return document.documentElement.dataset.drawn")
        return browser

    return go


def wait(browser, script, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := browser.execute_script(script):
            return value
        time.sleep(0.05)
    raise AssertionError(f"not true after {seconds} s: {script}")


def test_charts_are_drawn_without_errors_and_without_network(opened, page):
    browser = opened()
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].map(c => "
        "[c.dataset.chart ?? c.dataset.module ?? c.id, c.querySelectorAll('.scatterlayer path.js-line').length])"
    )
    lines = dict(drawn)
    assert len(lines) == 10 + 3 + 1
    assert all(count > 0 for count in lines.values()), lines
    assert lines["next_token_loss"] == 6
    assert lines["query_accuracy"] == 4, "the vanilla run has no episodes"
    assert lines["attention.v_proj"] == 2
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("data:", "blob:"))] == [page.as_uri()]


def test_hostile_names_are_shown_as_text(opened):
    browser = opened()
    assert browser.title.startswith("Learning dynamics of demo, vanilla and <img")
    assert browser.execute_script("return document.images.length") == 0
    assert HOSTILE in browser.execute_script("return document.querySelectorAll('.card h3')[2].textContent")
    legend = browser.execute_script(
        "return [...document.querySelectorAll('[data-chart=perplexity] .legendtext')].map(t => t.textContent)"
    )
    assert legend == ["demo", "vanilla", HOSTILE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_width_and_text_contrasts_with_the_background(opened, width, scheme):
    browser = opened(width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    text, ground, plot = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor, "
        "getComputedStyle(document.querySelector('[data-chart=perplexity] .main-svg')).backgroundColor]"
    )
    dark = scheme == "dark"
    assert (brightness(ground) < 60) == dark
    assert (brightness(text) > 200) == dark
    assert plot == ground.replace("rgba", "rgb")


def brightness(colour):
    return sum(map(float, colour.removeprefix("rgba").removeprefix("rgb").strip("()").split(",")[:3])) / 3


def test_charts_follow_a_change_of_the_colour_scheme(opened):
    browser = opened()
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    wait(
        browser,
        "return getComputedStyle(document.querySelector('[data-chart=perplexity] .main-svg')).backgroundColor"
        " === getComputedStyle(document.body).backgroundColor",
    )


def test_axis_zoom_runs_smoothing_and_log_apply_to_all_charts(opened):
    browser = opened()
    state = "return (c => [c.layout.xaxis.title.text, c.layout.xaxis.type, c.data.length, c._fullLayout.xaxis.range])"
    loss = f"{state}(document.querySelector('[data-chart=next_token_loss]'))"
    assert browser.execute_script(loss)[:3] == ["steps", "linear", 6]
    choose(browser, "axis", "flops")
    title, _, _, whole = browser.execute_script(loss)
    assert title == "FLOPs"
    choose(browser, "axis", "tokens")
    _, _, _, whole = browser.execute_script(loss)
    assert whole[1] == pytest.approx(300_000, rel=0.05)
    browser.execute_script("document.querySelector('[data-zoom=in]').click()")
    for chart in ("next_token_loss", "grad_norm"):
        low, high = browser.execute_script(f"{state}(document.querySelector('[data-chart={chart}]'))")[3]
        assert high - low == pytest.approx((whole[1] - whole[0]) / 2)
    browser.execute_script("document.querySelector('[data-zoom=reset]').click()")
    assert browser.execute_script(loss)[3] == pytest.approx(whole)
    browser.execute_script("document.querySelector('#runs input').click()")
    assert browser.execute_script(loss)[2] == 4
    browser.execute_script(
        "const r = document.getElementById('smoothing'); r.value = 0.5; r.dispatchEvent(new Event('input'))"
    )
    assert browser.execute_script(loss)[2] == 8, "smoothed curves are drawn over the logged ones"
    browser.execute_script("document.getElementById('log-x').click()")
    assert browser.execute_script(loss)[1] == "log"


@pytest.mark.parametrize(
    ("axis", "name", "end"),
    [
        ("step", "steps", 300),
        ("tokens", "tokens seen", 300_000),
        ("next_token_tokens", "next-token tokens", 150_000),
        ("flops", "FLOPs", None),
        ("compute_seconds", "CPU seconds of training", 600),
        ("seconds", "wall-clock seconds", 150),
    ],
)
def test_every_chart_of_the_page_is_drawn_over_the_chosen_axis(opened, axis, name, end):
    browser = opened()
    choose(browser, "dynamics-axis", axis)
    values = "return [...document.querySelectorAll('select.axis')].map(s => s.value)"
    assert browser.execute_script(values) == [axis] * 3
    charts = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].map(c => [c.layout.xaxis.title.text, c.data[0].x.at(-1)])"
    )
    assert len(charts) == 10 + 3 + 1
    assert {title for title, _ in charts} == {name}
    lasts = {round(last) for _, last in charts}
    assert len(lasts) == 1, "the first line of each chart is the run with episodes, which ends at step 300"
    assert end is None or lasts == {end}


def choose(browser, name, value):
    browser.execute_script(
        f"const s = document.getElementById('{name}'); s.value = '{value}'; s.dispatchEvent(new Event('change'))"
    )


def test_quantities_layers_and_phases_can_be_chosen(opened):
    browser = opened()
    panels = "return [...document.querySelectorAll('#panels .chart')].map(c => [c.dataset.module, c.data.length])"
    assert browser.execute_script(panels) == [["all modules", 1], ["attention.o_proj", 2], ["attention.v_proj", 2]]
    browser.execute_script("document.querySelector('#layers input[value=\"-1\"]').click()")
    assert browser.execute_script(panels) == [["all modules", 1], ["attention.o_proj", 3], ["attention.v_proj", 3]]
    titles = browser.execute_script("return [...document.getElementById('phase-curve').options].map(o => o.text)")
    knee = next(i for i, title in enumerate(titles) if "of weights, attention.v_proj, layer 0" in title)
    choose(browser, "phase-curve", knee)
    assert "Peak at step" in browser.execute_script("return document.getElementById('phase-text').textContent")
    drawn = browser.execute_script("return document.getElementById('phase-chart').data.map(d => [d.name, d.yaxis])")
    assert ["learning rate", "y2"] in drawn


def test_scores_are_drawn_from_0_to_1_with_intervals_beside_chance(browser, tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "arguments.json").write_text('{"revisions": []}')
    file = DynamicsFile(tmp_path / "series" / "learning_dynamics.jsonl")
    for step in (0, 10):
        scores = [Row("pair_accuracy", 0.6, source="pairs"), Row("pair_accuracy_standard_error", 0.1, source="pairs")]
        file.append(step, 0, [*scores, Row("cka", 0.9 + step / 1000, module="w_2", layer=0)], task="pairs", content="")
    written = report.main([str(tmp_path / "series"), "--output", str(tmp_path / "out"), "--formats", "none"])
    browser.get(written.as_uri())
    wait(browser, "return document.documentElement.dataset.drawn")
    shown = (
        "const c = document.querySelector('#panels .chart'); const [low, high] = c.layout.yaxis.range;"
        "return [c.dataset.module, low <= 0 && high >= 1, c.layout.shapes.map(s => s.y0), c.data[0].error_y?.array]"
    )
    assert browser.execute_script(shown) == ["w_2", False, [], None]
    assert browser.execute_script("return document.getElementById('phase-chart').data.length") > 0, "of one layer"
    choose(browser, "quantity", 1)
    module, whole, chance, bars = browser.execute_script(shown)
    assert (module, whole, chance) == ("pairs", True, [0.5])
    assert bars == pytest.approx([0.196, 0.196])


def test_tab_reaches_all_controls_in_order(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    seen = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(
            browser.execute_script(
                "const e = document.activeElement; return e.id || e.dataset.zoom || e.getAttribute('href') "
                "|| (e.closest('#runs') && 'run') || e.tagName"
            )
        )
        if seen[-1] == "phase-curve":
            break
    assert seen[:2] == ["#summary", "#summary"], "the link past the navigation comes first"
    order = [
        "#method",
        "run",
        "axis",
        "log-x",
        "log-y",
        "smoothing",
        "in",
        "out",
        "left",
        "right",
        "reset",
        "quantity",
    ]
    places = [seen.index(name) for name in [*order, "phase-curve"]]
    assert places == sorted(places)
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_headings_are_nested_and_every_control_has_a_name(opened):
    browser = opened()
    levels = browser.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('input,select,button,[role=img],section')].filter(e => "
        "!(e.labels?.length || e.textContent.trim() && e.tagName === 'BUTTON' || e.getAttribute('aria-label') "
        "|| e.getAttribute('aria-labelledby') || e.getAttribute('aria-describedby'))).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert browser.execute_script("return document.querySelectorAll('main, header, footer, nav').length") == 4
