"""Pages as a strict reader sees them: nesting, tables, values, and what a browser would fetch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta"}
FETCHING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


@dataclass
class Element:
    """A tag with its attributes and all text inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """Every element of that tag below, in the order of the page."""
        found = []
        for one in self.inside:
            found += [one] if one.tag == tag else []
            found += one.all(tag)
        return found

    @property
    def value(self) -> Any:
        """The exact value, as it was stored."""
        return json.loads(self.attributes["data-value"])


class Read(HTMLParser):
    """Every tag closed in order; what a browser would fetch or run is collected."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Element("page", {})
        self.open: list[Element] = [self.page]
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag}: an attribute twice in {names}"
        self.fetched += [f"{n}={v}" for n, v in attrs if n in FETCHING or n.startswith("on")]
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def table(self, name: str) -> list[list[Element]]:
        """The cells of the rows of the table with this id."""
        (found,) = [one for one in self.page.all("table") if one.attributes.get("id") == name]
        return [row.all("td") for row in found.all("tbody")[0].all("tr")]

    def valued(self) -> list[Element]:
        """Every element that names its place in the results file."""
        tags = ("td", "dd", "strong")
        found = [one for tag in tags for one in self.page.all(tag)]
        return [one for one in found if "data-field" in one.attributes]


def read(text: str) -> Read:
    """The page; an AssertionError where its tags are not nested."""
    reader = Read()
    reader.feed(text)
    reader.close()
    assert [one.tag for one in reader.open] == ["page"]
    return reader
