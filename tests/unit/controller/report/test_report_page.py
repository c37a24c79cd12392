"""The page in a real browser: it loads from a file, is used by hand and by keyboard, asks no network, and runs nothing that a host has said."""

import os
import pathlib
import re
import shutil

import fleets
import pytest
from controller.report import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
STYLE = (pathlib.Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        (pytest.fail if os.environ.get("PIDHYGIENE_REQUIRE_LAB") == "1" else pytest.skip)("no Chromium here: apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text("".join(page.parts(report, "pack.zip")), encoding="utf-8")
    return path


class Opened:
    """One page with what it said and asked."""

    def __init__(self, browser, file, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append("dialog " + dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready]", state="attached")

    def told(self):
        return self.page.inner_text("#told")

    def shown(self):
        return self.page.locator("#rows > div > :nth-child(2)").all_inner_texts()


@pytest.fixture
def opened(browser, file):
    made = Opened(browser, file)
    yield made
    assert made.said == []
    assert [url for url in made.asked if not url.startswith("file:")] == [] and len(set(made.asked)) == 1
    assert made.page.evaluate("window.owned") is None and "owned" not in made.page.title().replace(fleets.HOSTILE_HOST, "")
    made.context.close()


def test_first_screen_in_order(opened):
    assert opened.page.inner_text("h1") == "2 hosts refuse forks now; 2 hosts not audited"
    assert opened.page.eval_on_selector_all("#overview section", "all => all.map(each => each.id)")[:5] == ["now", "causes", "changes", "controls", "pack"]
    assert "63 expected" in opened.page.inner_text(".scope")
    assert "18,451 of 16,384 (112.6 %)" in opened.page.inner_text("#now tbody tr:first-child")


def test_filter_and_search(opened):
    assert opened.told() == "63 of 63 hosts"
    opened.page.select_option("#by-status", "fail")
    assert opened.told() == "4 of 63 hosts"
    opened.page.select_option("#by-rule", "PH-LIM-001")
    assert sorted(opened.shown()) == ["db00009.example.org", "db00013.example.org", "web00004.example.org"]
    opened.page.select_option("#by-group", "db")
    assert opened.told() == "2 of 63 hosts"
    opened.page.click("#clear")
    opened.page.select_option("#by-zone", "PRC")
    assert opened.told() == "10 of 63 hosts"
    opened.page.click("#clear")
    opened.page.fill("#search", "beremote WEB")
    assert 0 < len(opened.shown()) < 20 and all(name.startswith("web") for name in opened.shown())
    opened.page.fill("#search", "nothing has this name")
    assert opened.told() == "0 of 63 hosts" and opened.shown() == []


def test_sort(opened):
    assert opened.shown()[:2] == ["db00090.example.org", "db00091.example.org"]  # not audited: it can be the worst
    opened.page.click(".heads button[data-key=host]")
    assert opened.shown() == sorted(opened.shown()) and opened.shown()[0] == "backup00002.example.org"
    opened.page.click(".heads button[data-key=host]")
    assert opened.shown()[0] == "web00056.example.org"
    opened.page.click(".heads button[data-key=limit]")
    assert opened.shown()[0] == "web00004.example.org"


def test_only_rows_in_sight_exist(opened):
    assert 10 < opened.page.locator("#rows > div").count() < 63
    opened.page.eval_on_selector("#list", "list => { list.scrollTop = 1e6; }")
    opened.page.wait_for_selector("#row-62")


def test_from_a_cause_to_its_hosts(opened):
    opened.page.click("#causes tbody tr:has-text('PH-LIM-001') a[href^='#cause=']")
    opened.page.wait_for_function("document.getElementById('told').textContent === '3 of 63 hosts'")
    opened.page.click("#all-causes")
    assert opened.told() == "63 of 63 hosts"


def test_a_host_with_evidence_and_the_exact_remedy(opened):
    opened.page.click("#now a:text('web00004.example.org')")
    opened.page.wait_for_selector("#host h2:text('web00004.example.org')")
    text = opened.page.inner_text("#host")
    assert "Max processes 16384" in text and "18,451 of 16,384: RLIMIT_NPROC of oracle" in text and "SHA-256" in text
    article = opened.page.locator("#host article:has-text('PH-LIM-001')")
    for name, wanted in (("Ansible task", "pidhygiene.host.unit_limits:"), ("Salt state", "pidhygiene.unit_limits:"), ("Plan on the command line", "--host web00004.example.org --rule PH-LIM-001")):
        article.locator("summary", has_text=name).click()
        assert wanted in article.inner_text()
    opened.page.go_back()
    opened.page.wait_for_selector("#overview:not([hidden])")


def test_by_keyboard(opened):
    press = opened.page.keyboard.press
    press("?")
    assert opened.page.locator("#help").is_visible()
    press("Escape")
    assert not opened.page.locator("#help").is_visible()
    press("/")
    opened.page.keyboard.type("web0000")
    assert set(opened.shown()) == {"web00000.example.org", "web00004.example.org", "web00008.example.org"}
    press("Enter")
    press("j")
    second = opened.shown()[1]
    assert opened.page.get_attribute("#list", "aria-activedescendant") == "row-1" and opened.page.get_attribute("#row-1", "aria-selected") == "true"
    press("j"), press("j"), press("k")
    press("Enter")
    opened.page.wait_for_selector("#host h2:text('%s')" % second)
    press("k")
    opened.page.wait_for_selector("#host h2:text('%s')" % opened.page.evaluate("decodeURIComponent(location.hash.slice(6))"))
    press("Escape")
    opened.page.wait_for_selector("#overview:not([hidden])")
    press("/")
    press("Escape")
    assert opened.told() == "63 of 63 hosts"


def test_hostile_names_are_text(opened):
    opened.page.fill("#search", "evil")
    opened.page.click("#rows > div")
    opened.page.wait_for_selector("#host article")
    text = opened.page.inner_text("#host")
    assert fleets.HOSTILE_HOST in text and "</script><script>window.owned=1</script>" in text and "\\u202egnp.exe" in text and "{{ 7 * 7 }}" in text
    assert opened.page.locator("#host img, #host script, #host a").count() == 0
    assert opened.page.eval_on_selector_all("a", "all => all.map(each => each.getAttribute('href'))").count("javascript:window.owned=1") == 0
    opened.page.locator("#host summary", has_text="Plan on the command line").first.click()
    assert "--host 'evil'\\''><img src=x onerror=window.owned=1>.example.org'" in opened.page.inner_text("#host")


def test_the_switch_of_colours(opened):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(paper)
    opened.page.click("#theme"), opened.page.click("#theme")
    assert opened.page.inner_text("#theme") == "Colours: dark" and opened.page.evaluate(paper) != light
    opened.page.click("#theme")
    assert opened.page.evaluate(paper) == light


def test_first_screen_without_javascript(browser, file):
    made = Opened(browser, file, java_script_enabled=False)
    assert "2 hosts refuse forks now" in made.page.inner_text("body") and "need JavaScript" in made.page.inner_text("#hosts")
    assert not made.page.locator("#list").is_visible() and made.page.locator("#causes tbody tr").count() > 10
    made.context.close()


def test_on_a_phone(browser, file):
    made = Opened(browser, file, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert made.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert made.page.evaluate("[...document.querySelectorAll('#hosts button, #hosts select, #hosts input')].filter(each => each.offsetParent).every(each => each.offsetHeight >= 36)")
    made.page.tap("#rows > div:nth-child(4)")
    made.page.wait_for_selector("#host h2")
    assert made.page.evaluate("document.documentElement.scrollWidth") <= 360 and made.said == []
    made.context.close()


def test_print(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#list").is_visible() and not opened.page.locator("nav").is_visible() and opened.page.locator("#causes table").is_visible()


def luminance(colour):
    parts = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def palettes():
    for text in re.findall(r"\{ (--paper:[^}]*)\}", STYLE):
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", text))
        yield {name: colour if len(colour) == 7 else "#" + "".join(2 * char for char in colour[1:]) for name, colour in colours.items()}


def test_every_pair_of_colours_can_be_read():
    found = list(palettes())
    assert len(found) == 4  # light, dark as the system, dark by the switch, print
    assert found[1] == found[2]
    for palette in found:
        for name in set(palette) - {"paper", "tint", "pick", "line"}:
            for ground in {"paper", "tint", "pick"} & set(palette):
                assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground, palette[name], palette[ground])


def test_the_measure_of_contrast():
    assert round(contrast("#000000", "#ffffff"), 1) == 21.0 and round(contrast("#767676", "#ffffff"), 2) == 4.54
