"""HTML of one file: escaped text, tables, facts, the style. No request of anything from outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

# Okabe & Ito's colours that keep apart for all kinds of sight; on dark ground the lighter of them.
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --faint: #595959; --ground: #ffffff;
  --rule: #c8c8c8; --raised: #f4f5f6; --series-0: #0072b2; --series-1: #d55e00;
  --series-2: #009e73; --series-3: #cc79a7; --series-4: #e69f00; --series-5: #56b4e9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --faint: #a9adb2; --ground: #16181a; --rule: #50555a; --raised: #212427;
    --series-0: #56b4e9; --series-1: #f0824a; --series-2: #2bbf94; --series-5: #3f8fd0; } }
* { box-sizing: border-box; }
body { color: var(--ink); background: var(--ground); font: 16px/1.5 system-ui, sans-serif;
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { line-height: 1.2; margin-bottom: .3rem; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--rule); }
p, ul { max-width: 46rem; }
.faint { color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th { text-align: right; vertical-align: bottom; }
th:first-child, td:first-child, td.words, th.words { text-align: left; }
td.long { white-space: normal; min-width: 18rem; overflow-wrap: anywhere; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; text-decoration: underline dotted; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 31rem), 1fr));
  gap: 0 2.5rem; }
.beside > section { min-width: 0; }
figure { margin: 1rem 0; max-width: 36rem; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 14px system-ui, sans-serif; }
svg .rule { stroke: var(--rule); fill: none; }
svg .ring { fill: var(--ground); }
svg.small { width: auto; height: 1.3em; vertical-align: -.25em; margin-right: .5em; }
svg.swatch { width: 1em; height: 1em; vertical-align: -.12em; margin-right: .4em; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .2rem 0;
  padding: 0; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .25rem 1.2rem;
  max-width: 60rem; }
dt { font-weight: 600; }
dd { margin: 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre code { font-size: 1em; }
pre { background: var(--raised); padding: .7rem 1rem; overflow-x: auto; max-width: 60rem; }
summary { cursor: pointer; }
@media (max-width: 34rem) {
  body { margin: 1rem auto; }
  dl { display: block; }
  dd { margin: 0 0 .5rem; } }
"""

# Heads of sortable tables become buttons; a second click turns the order round.
SORTING = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    const key = row => JSON.parse(row.cells[column].dataset.value ?? '""');
    button.addEventListener("click", () => {
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const rows = [...body.rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => turn * (a < b ? -1 : a > b ? 1 : 0));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
      body.append(...rows.map(([, row]) => row));
    });
  });
}
"""


@dataclass(frozen=True)
class Cell:
    """A text to be shown. `value` is the exact one, for sorting and for programs; `field` is its
    place in the results file, with dots; `picture` is markup that stands before the text."""

    shown: str
    value: Any = None
    field: str = ""
    kind: str = ""  # of the style: words, long
    picture: str = ""

    def attributes(self) -> str:
        """The attributes of the element that holds the cell."""
        told = {"class": self.kind, "data-field": self.field}
        if self.value is not None:
            told["data-value"] = json.dumps(self.value)
        return "".join(f' {name}="{text(value)}"' for name, value in told.items() if value)


def text(value: object) -> str:
    """Any value as inert characters: markup is escaped, control characters are left out."""
    plain = "".join(one for one in str(value) if one.isprintable() or one in "\n\t")
    return escape(plain, quote=True)


def element(tag: str, content: str, attributes: str = "") -> str:
    """An element; its content is markup already."""
    return f"<{tag}{attributes}>{content}</{tag}>"


def heading(title: str) -> str:
    return element("h2", text(title))


def paragraph(words: str, kind: str = "") -> str:
    return element("p", text(words), f' class="{kind}"' if kind else "")


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences; nothing where there is none."""
    return element("ul", "".join(element("li", text(line)) for line in lines)) if lines else ""


def code(lines: str) -> str:
    """Lines to be copied."""
    return element("pre", element("code", text(lines)))


def facts(rows: Sequence[tuple[str, Cell | str]]) -> str:
    """Names and what they are."""
    cells = [(name, cell if isinstance(cell, Cell) else Cell(cell)) for name, cell in rows]
    inside = "".join(
        element("dt", text(name)) + element("dd", text(cell.shown), cell.attributes())
        for name, cell in cells
    )
    return element("dl", inside)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    name: str = "",
    *,
    sorts: bool = False,
) -> str:
    """A table that scrolls sideways where it is wider than the page; `name` becomes its id."""
    kept = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    kinds = [bool(cell.kind) for cell in kept[0]] if kept else [False] * len(head)
    top = "".join(
        element("th", text(title), ' scope="col"' + (' class="words"' if words else ""))
        for title, words in zip(head, kinds, strict=True)
    )
    body = "".join(
        element("tr", "".join(element("td", _inside(cell), cell.attributes()) for cell in row))
        for row in kept
    )
    attributes = f' id="{text(name)}"' if name else ""
    attributes += ' class="sortable"' if sorts else ""
    inside = element("thead", element("tr", top)) + element("tbody", body)
    return f'<div class="scroll" tabindex="0">{element("table", inside, attributes)}</div>'


def _inside(cell: Cell) -> str:
    return cell.picture + text(cell.shown)


def beside(*sections: str) -> str:
    """Sections next to each other where the page is wide enough."""
    inside = "".join(element("section", section) for section in sections if section)
    return element("div", inside, ' class="beside"')


def document(title: str, parts: Sequence[str], script: str = "") -> str:
    """The whole file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + (f"\n<script>{script}</script>" if script else "")
        + "\n</body>\n</html>\n"
    )
