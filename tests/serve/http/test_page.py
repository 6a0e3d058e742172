"""The page at `/`: one file that works under a policy that allows nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import httpx
import pytest

from support.servers import Running

VOID = {"meta", "link", "input", "br", "img", "hr"}
CONTROLS = {"button", "input", "select"}


class Page(HTMLParser):
    """The elements of a page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {"script": "", "style": ""}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.inside:
            self.inside[self._open[-1]] += data


@pytest.fixture(scope="module")
def text() -> str:
    return (resources.files("foveate.serve.http") / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def ids(page: Page) -> list[str]:
    return [name for _, attributes in page.elements if (name := attributes.get("id"))]


def test_it_is_one_page_for_phones_too(text: str, page: Page) -> None:
    assert text.lower().startswith("<!doctype html>")
    assert dict(page.elements[0][1]) == {"lang": "en"}
    metas = {one.get("name"): one.get("content") for tag, one in page.elements if tag == "meta"}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert "prefers-color-scheme: dark" in page.inside["style"]
    assert "prefers-reduced-motion" in page.inside["style"]


def test_nothing_comes_from_elsewhere(text: str, page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base", "img", "audio", "video"}
        assert "src" not in attributes
        if tag == "link":
            assert (attributes["href"] or "").startswith("data:")
        elif tag == "a":
            assert re.fullmatch(r"[a-z.]+", attributes["href"] or "")
    assert "@import" not in text
    assert "url(" not in page.inside["style"]
    # The one address in it is the name of SVG, which nobody opens.
    assert set(re.findall(r"https?://[^\s'\"]+", text)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_lets_everything_through(page: Page) -> None:
    """`default-src 'none'`, inline style and script, blob: and data: images, own connections."""
    assert [tag for tag, _ in page.elements].count("script") == 1
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), tag
        assert not (attributes.get("href") or "").startswith("javascript:")
        assert "action" not in attributes
    script = page.inside["script"]
    for forbidden in ("eval(", "new Function", "import(", "Worker(", "WebSocket", "EventSource"):
        assert forbidden not in script


def test_labels_cannot_become_markup(page: Page) -> None:
    script = page.inside["script"]
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser"):
        assert unsafe not in script
    assert "textContent" in script


def test_requests_stay_below_the_address_of_the_page(page: Page) -> None:
    """Behind a gateway the page may be at `/fashion/`."""
    script = page.inside["script"]
    assert re.findall(r'send\("([^"]+)"', script) == ["models"]
    assert '"predict" : `predict?model=${encodeURIComponent(model)}`' in script
    assert not re.search(r"""["'`]/(predict|models)""", script)


def test_every_object_url_is_given_back(page: Page) -> None:
    script = page.inside["script"]
    assert script.count("createObjectURL") == 1
    for event in ("load", "error"):
        assert re.search(rf'addEventListener\("{event}", [^;]*release', script)
    assert "card.release()" in script


def test_the_token_lives_as_long_as_the_tab(page: Page) -> None:
    script = page.inside["script"]
    assert "sessionStorage" in script
    assert "localStorage" not in script
    assert "document.cookie" not in script
    fields = {one.get("id"): one for tag, one in page.elements if tag == "input"}
    assert fields["secret"]["type"] == "password"
    assert fields["files"]["accept"] == fields["shot"]["accept"] == "image/*"


def test_everything_can_be_reached_and_has_a_name(page: Page) -> None:
    labelled = {one.get("for") for tag, one in page.elements if tag == "label"}
    for tag, attributes in page.elements:
        if tag == "input":
            assert attributes.get("id") in labelled or attributes.get("aria-label")
        if tag == "button":
            assert attributes["type"] in {"button", "submit"}
        assert "tabindex" not in attributes
    assert any("aria-live" in attributes for _, attributes in page.elements)


def test_the_script_finds_what_it_looks_for(page: Page) -> None:
    here = ids(page)
    assert len(here) == len(set(here))
    sought = set(re.findall(r'\$\("([a-z]+)"\)', page.inside["script"]))
    assert len(sought) > 10
    assert sought <= set(here)
    for _, attributes in page.elements:
        for reference in ("for", "aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {None, *here}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"),
    [("ink", "paper"), ("soft", "paper"), ("soft", "raised"), ("soft", "warn"), ("blue", "paper"),
     ("on", "blue"), ("alert", "paper"), ("ink", "warn"), ("ink", "tint")],
)  # fmt: skip
def test_text_stands_out(page: Page, theme: str, front: str, back: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 to 1."""
    light, _, dark = page.inside["style"].partition("prefers-color-scheme: dark")
    block = (light if theme == "light" else dark).partition(":root")[2].partition("}")[0]
    colours = dict(re.findall(r"--(\w+): #([0-9a-f]{6})", block))
    one, other = sorted((luminance(colours[front]), luminance(colours[back])))
    assert (other + 0.05) / (one + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG defines it."""
    shares = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_link_leads_somewhere(page: Page, server: Running) -> None:
    links = [one["href"] for tag, one in page.elements if tag == "a"]
    assert len(links) == 1
    for link in links:
        answer = httpx.get(f"{server.url}/{link}", timeout=30)
        assert answer.status_code == 200
        assert answer.json()["openapi"]
