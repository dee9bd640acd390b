"""What is wrong with the pages of a built site: links and anchors that lead nowhere, pictures that say nothing to who cannot see them,
pages that nothing leads to, and whatever a browser would fetch from another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself. A link of these kinds is only followed, or read by nobody.
_FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
_IDLE_LINKS = {"canonical", "next", "prev", "alternate", "edit", "search"}
_CSS_ADDRESS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


@dataclass
class Page:
    """What of a page leads elsewhere, or can be led to."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    silent: list[str] = field(default_factory=list)


def problems(site: Path) -> list[str]:
    """Each problem of the site in a line, with its page."""
    site = site.resolve()
    pages = {path: read(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    found = [
        f"{path.relative_to(site)}: {problem}" for path, page in pages.items() for problem in of_page(path, page, pages)
    ]
    found += [
        f"{style.relative_to(site)}: fetches {address}"
        for style in sorted(site.rglob("*.css"))
        for address in _CSS_ADDRESS.findall(style.read_text(encoding="utf-8"))
    ]
    return found + [f"{path.relative_to(site)}: no other page leads here" for path in orphans(pages)]


def read(path: Path) -> Page:
    """What is in a page."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def of_page(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """What is wrong with one page."""
    yield from (f"the picture {picture} has no alt text" for picture in page.silent)
    yield from (f"the anchor #{anchor} is there twice" for anchor in sorted(page.twice))
    yield from (f"fetches {address}" for address in page.fetched if urlsplit(address).netloc)
    for address in [*page.links, *page.fetched]:
        goal = target(path, address)
        if goal is None:
            continue
        anchor = unquote(urlsplit(address).fragment)
        if not goal.is_file():
            yield f"{address} leads nowhere"
        elif anchor and goal in pages and anchor not in pages[goal].anchors:
            yield f"{address} leads to no anchor"


def target(path: Path, address: str) -> Path | None:
    """The file of the site that an address of a page means, or None for one outside of the site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return goal / "index.html" if goal.is_dir() else goal


def orphans(pages: dict[Path, Page]) -> list[Path]:
    """The pages that no other page links to."""
    led_to = {
        goal
        for path, page in pages.items()
        for address in [*page.links, *page.fetched]
        if (goal := target(path, address)) is not None and goal != path
    }
    return [path for path in pages if path not in led_to]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        page = self.page
        for anchor in {given.get("id", ""), given.get("name", "") if tag == "a" else ""} - {""}:
            (page.twice if anchor in page.anchors else page.anchors).add(anchor)
        if tag in {"a", "area"} and "href" in given:
            page.links.append(given["href"])
        if tag == "img" and not given.get("alt", "").strip():
            page.silent.append(given.get("src", ""))
        idle = tag == "link" and set(given.get("rel", "").split()) & _IDLE_LINKS
        if (address := given.get(_FETCHED.get(tag, ""), "")) and not idle:
            page.fetched.append(address)
