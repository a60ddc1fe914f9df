"""The pages in a real browser: nothing leaves the site, nothing is broken, nothing is unreadable."""

import functools
import http.server
import os
import shutil
import threading
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import real_book
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# What is wrong with a page, found inside it.
COMPLAINTS = """
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const show = (element) => element.outerHTML.slice(0, 120);
  const wrong = (text, elements) => elements.map((element) => `${text}: ${show(element)}`);
  const main = document.querySelector("main, body");
  return [
    ...wrong("equation not rendered", all(".math").filter((math) => !math.querySelector("mjx-container"))),
    ...wrong("error in an equation", all("mjx-merror")),
    ...wrong("equation without its number", all("div.math[id]").filter((math) =>
      !/\\([\\d.]+\\)/.test(math.textContent))),
    ...wrong("raw TeX", /\\$\\$|\\\\\\(|\\\\begin\\{/.test(main.innerText) ? [main] : []),
    ...wrong("image without text", all("img").filter((image) => !(image.alt ?? "").trim())),
    ...wrong("image without picture", all("img").filter((image) => image.complete && !image.naturalWidth)),
    ...wrong("drawing without text", all("svg[role=img]:not([aria-hidden=true])").filter((svg) =>
      !svg.getAttribute("aria-label") && !svg.querySelector("title"))),
    ...wrong("figure without number or caption", all("figure").filter((figure) =>
      !/^Fig\\. [\\d.]+/.test(figure.querySelector("figcaption .caption-number")?.textContent ?? "")
      || !figure.querySelector("figcaption .caption-text")?.textContent.trim())),
    ...wrong("heading level skipped", all("main h1, main h2, main h3, main h4").filter((heading, index, list) =>
      +heading.tagName[1] > (index ? +list[index - 1].tagName[1] : 0) + 1)),
  ];
}
"""

# The visible ones of these elements whose text has less contrast with what lies behind it than WCAG asks for.
LOW_CONTRAST = """
(elements) => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => numbers(color).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    while (element && numbers(getComputedStyle(element).backgroundColor)[3] === 0) element = element.parentElement;
    return element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
  };
  const contrast = (element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  return elements.filter((element) => element.checkVisibility() && contrast(element) < 4.5)
    .map((element) => `${contrast(element).toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
"""
TEXT = "main p, main li, main th, main td, main pre, figcaption, .verdict, .kind"


@contextmanager
def serve(folder):
    """Serve a folder on this machine; gives its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Visit(NamedTuple):
    """What a page looked like: what is wrong with it, which text is hard to read, its theme, links and ids."""

    complaints: list
    low_contrast: list
    theme: str
    filters: set  # of its figures
    targets: set  # of its links within the site
    ids: set


class Visitor:
    """A browser that sees one site and nothing else, and writes down everything that goes wrong."""

    def __init__(self, browser, address, color_scheme="light"):
        self.address = address
        self.complaints = []
        self.page = browser.new_page(color_scheme=color_scheme)
        self.page.route("**/*", self._request)
        self.page.on("console", lambda message: message.type == "error" and self._complain(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self._complain(f"error: {error}"))
        self.page.on("response", lambda reply: reply.status >= 400 and self._complain(f"{reply.status}: {reply.url}"))
        self.page.on("requestfailed", lambda request: self._complain(f"failed: {request.url}"))

    def _complain(self, complaint):
        self.complaints.append(complaint)

    def _request(self, route):
        if route.request.url.startswith((f"{self.address}/", "data:", "blob:")):
            route.continue_()
        else:
            self._complain(f"leaves the site: {route.request.url}")
            route.abort()

    def open(self, path):
        """Open a page and wait until its equations are typeset."""
        self.page.goto(f"{self.address}/{path}", wait_until="networkidle")
        self.page.evaluate("window.MathJax?.startup?.promise")
        return self.page

    def visit(self, path):
        """Open a page, look at it as it comes, then unfold everything and look again."""
        self.complaints.clear()
        page = self.open(path)
        low_contrast = page.eval_on_selector_all(TEXT, LOW_CONTRAST)
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
        page.wait_for_load_state("networkidle")
        links = page.eval_on_selector_all("a[href]", "(links) => links.map((link) => link.href)")
        return Visit(
            complaints=[*self.complaints, *page.evaluate(COMPLAINTS)],
            low_contrast=low_contrast,
            theme=page.evaluate("document.documentElement.dataset.theme"),
            filters=set(page.eval_on_selector_all("figure img", "(all) => all.map((i) => getComputedStyle(i).filter)")),
            targets={link for link in links if link.startswith(f"{self.address}/")},
            ids=set(page.eval_on_selector_all("[id]", "(elements) => elements.map((element) => element.id)")),
        )

    def dead_links(self, visits):
        """The links between the pages visited, or to other files of the site, whose target does not exist."""
        dead = []
        for path, visit in visits.items():
            for target in visit.targets:
                file, _, anchor = target.removeprefix(f"{self.address}/").partition("#")
                if file in visits:
                    exists = not anchor or anchor in visits[file].ids
                else:
                    exists = self.page.request.get(f"{self.address}/{file}").ok
                if not exists:
                    dead.append(f"{path} -> {file}#{anchor}")
        return dead


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if not executable:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no browser found; install one of {', '.join(names)}")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The folder of the book's site at the smoke profile."""
    return real_book.built(tmp_path_factory)


@pytest.fixture(scope="module")
def address(html):
    with serve(html) as address:
        yield address


@pytest.fixture(scope="module")
def paths(html):
    """The pages of the book."""
    paths = sorted(str(path.relative_to(html)) for path in html.glob("book/**/*.html"))
    assert paths
    return paths


@pytest.fixture(scope="module")
def chapter_paths(html, paths):
    paths = [path for path in paths if (html / "_sources" / path).with_suffix(".ipynb").exists()]
    assert paths
    return paths


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_page_is_whole_and_readable_and_leads_somewhere(browser, address, paths, chapter_paths, mode):
    visitor = Visitor(browser, address, mode)
    visits = {path: visitor.visit(path) for path in paths}  # a visit takes seconds: one serves all checks
    assert {path: visit.complaints for path, visit in visits.items() if visit.complaints} == {}
    assert {path: visit.low_contrast for path, visit in visits.items() if visit.low_contrast} == {}
    assert {visit.theme for visit in visits.values()} == {mode}
    inverted = {"invert(0.92) hue-rotate(180deg)" if mode == "dark" else "none"}
    assert {path: visits[path].filters for path in chapter_paths} == dict.fromkeys(chapter_paths, inverted)
    assert all(visit.filters <= inverted for visit in visits.values())
    assert visitor.dead_links(visits) == []


def test_every_chapter_offers_its_notebook(browser, address, chapter_paths):
    visitor = Visitor(browser, address)
    for path in chapter_paths:
        page = visitor.open(path)
        buttons = page.locator("a.btn-download-source-button")
        with page.expect_download() as download:
            page.locator(".dropdown-download-buttons > button").click()
            buttons.first.click()
        assert download.value.suggested_filename.endswith(".ipynb")


def test_the_ledger_can_be_filtered(browser, address):
    page = Visitor(browser, address).open("book/ledger.html")
    rows = page.locator("table.ledger tbody tr")

    def shown(selector):
        return [row.locator(selector).inner_text() for row in rows.all() if row.is_visible()]

    everything = rows.count()
    assert everything == len(shown(".claim-id"))
    for field, selector in (("article", ".claim-id"), ("verdict", ".verdict:not(.written)")):
        select = page.locator(f".ledger-filter select[name={field}]")
        values = [option.evaluate("(option) => option.value") for option in select.locator("option").all()]
        assert values[0] == ""
        count = 0
        for value in values[1:]:
            select.select_option(value)
            texts = shown(selector)
            assert texts
            assert {text[:3] if field == "article" else text for text in texts} == {value}
            assert page.locator(".ledger-filter output").inner_text() == f"{len(texts)} of {everything} claims"
            count += len(texts)
        assert count == everything
        select.select_option("")
    assert len(shown(".claim-id")) == everything

    page.locator(".ledger-filter input[type=search]").fill("lstm Three")
    texts = [row.inner_text().lower() for row in rows.all() if row.is_visible()]
    assert 0 < len(texts) < everything
    assert all("lstm" in text and "three" in text for text in texts)


def test_a_count_of_the_summary_leads_to_its_claims(browser, address):
    page = Visitor(browser, address).open("book/ledger.html")
    count = page.locator("main a[href^='?article=000&verdict=refuted']")
    expected = int(count.inner_text())
    count.click()
    page.wait_for_load_state("networkidle")
    rows = [row for row in page.locator("table.ledger tbody tr").all() if row.is_visible()]
    assert len(rows) == expected
    assert {row.locator(".claim-id").inner_text()[:3] for row in rows} == {"000"}
    assert {row.locator(".verdict:not(.written)").inner_text() for row in rows} == {"refuted"}


def test_the_search_finds_a_page(browser, address):
    visitor = Visitor(browser, address)
    page = visitor.open("search.html?q=ledger")
    page.wait_for_selector("#search-results li a")
    assert visitor.complaints == []


GOOD = """<!doctype html><html lang="en"><head><link rel="icon" href="data:,"></head><body><main><h1>Good</h1>
<figure><img src="{image}" alt="A dot"><figcaption><span class="caption-number">Fig. 1</span>
<span class="caption-text">A dot.</span></figcaption></figure>
<span class="math"><mjx-container>x</mjx-container></span><a id="here" href="#here">here</a></main></body></html>
""".format(image="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")

FAULTS = {
    "leaves the site: https://example.org/a.png": ("<h1>", '<img src="https://example.org/a.png" alt="a"><h1>'),
    "leaves the site: https://example.org/a.js": ("<h1>", '<script src="https://example.org/a.js"></script><h1>'),
    "404: ": ("<h1>", '<img src="nosuch.png" alt="a"><h1>'),
    "console: ": ("<h1>", '<script>console.error("wrong")</script><h1>'),
    "error: ": ("<h1>", "<script>nosuch()</script><h1>"),
    "image without text": ('alt="A dot"', 'alt=""'),
    "image without picture": ("R0lGOD", "AAAA"),
    "equation not rendered": ("<mjx-container>x</mjx-container>", "\\frac{1}{2}"),
    "error in an equation": (">x<", "><mjx-merror>x</mjx-merror><"),
    "equation without its number": (
        '<span class="math">',
        '<div class="math" id="eq"><mjx-container></mjx-container></div><span class="math">',
    ),
    "raw TeX": ("Good", "$$x$$"),
    "figure without number or caption": ("Fig. 1", ""),
    "heading level skipped": ("</h1>", "</h1><h3>Deep</h3>"),
}


@pytest.mark.parametrize("complaint", [None, *FAULTS])
def test_the_inspection_finds_faults(browser, tmp_path, complaint):
    """The control: the same inspection of a page without and with one fault."""
    page = GOOD if complaint is None else GOOD.replace(*FAULTS[complaint])
    assert complaint is None or page != GOOD
    (tmp_path / "page.html").write_text(page)
    with serve(tmp_path) as address:
        found = Visitor(browser, address).visit("page.html").complaints
    assert (found == []) if complaint is None else any(text.startswith(complaint) for text in found), found


@pytest.mark.parametrize(
    ("target", "dead"),
    [("#here", False), ("#nosuch", True), ("nosuch.html", True), ("page.html#nosuch", True), ("a.txt", False)],
)
def test_the_search_for_dead_links_finds_them(browser, tmp_path, target, dead):
    (tmp_path / "page.html").write_text(GOOD.replace('href="#here"', f'href="{target}"'))
    (tmp_path / "a.txt").touch()
    with serve(tmp_path) as address:
        visitor = Visitor(browser, address)
        assert bool(visitor.dead_links({"page.html": visitor.visit("page.html")})) == dead


@pytest.mark.parametrize(("color", "low"), [("#000", []), ("#767676", []), ("#777", ["4.48: <p"])])
def test_the_contrast_is_that_of_wcag(browser, color, low):
    page = browser.new_page()
    page.set_content(f'<body style="background: #fff"><main><p style="color: {color}">a</p></main></body>')
    assert [found[:8] for found in page.eval_on_selector_all(TEXT, LOW_CONTRAST)] == low
    page.close()
