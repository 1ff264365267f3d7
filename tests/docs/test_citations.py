"""What code, tests and pages cite is there: the file, its section, and what links of a page lead to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("adapters", "connector", "deploy", "docs", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__))
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])

NUMBER = r"\d+(?:\.\d+)*"
#: `docs/design.md §4, §7`, `[exotel.md](exotel.md) §3.2 to §3.4`: a page, and the sections of it that are meant.
CITED = re.compile(rf"([\w./-]+\.md)\)?((?:[\s#:,;-]|and|to)*§{NUMBER})+")
PAGE = re.compile(r"(?<![\w./-])docs/[\w./-]+\.md")
SECTION = re.compile(rf"§({NUMBER})")
#: How a section begins: a heading with a number, or an entry of a list that has one.
NUMBERED = re.compile(rf"^(?:#+ |- \*\*)({NUMBER})\b", re.MULTILINE)
#: Notes that are no part of the repository.
OUTSIDE = re.compile(
    r"\bseed \d|\bthe project's (?:\w+ ){0,2}reference|\breference(?: §| \w+\.md)"
    r"|\bdesign(?:, section| §|: (?:policy|domain|ingress))"
)
LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def sections(page: Path) -> set[str]:
    return set(NUMBERED.findall(page.read_text(encoding="utf-8")))


def citations(file: Path, text: str) -> Iterator[tuple[re.Match[str], Path]]:
    """Each `§` and its page. A bare one means the first page that the file names; in a page, the page itself."""
    covered = [(m.start(), m.end(), page_of(m[1], file)) for m in CITED.finditer(text)]
    named = PAGE.search(text)
    home = file if file.suffix == ".md" else (page_of(named[0], file) if named else None)
    for match in SECTION.finditer(text):
        page = next((page for start, end, page in covered if start <= match.start() < end), home)
        assert page is not None, f"{place(file, text, match)}: {match[0]} of which page?"
        yield match, page


def page_of(name: str, file: Path) -> Path:
    return ROOT / name if (ROOT / name).is_file() else file.parent / name


def place(file: Path, text: str, match: re.Match[str]) -> str:
    return f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"


def wrong(file: Path) -> list[str]:
    """What is cited in the file and is not there."""
    text = file.read_text(encoding="utf-8")
    found = [f"{place(file, text, m)}: {m[0]} is no part of the repository" for m in OUTSIDE.finditer(text)]
    found += [f"{place(file, text, m)}: no {m[0]}" for m in PAGE.finditer(text) if not (ROOT / m[0]).is_file()]
    if not found:
        found = [
            f"{place(file, text, m)}: no {m[0]} in {p.name}"
            for m, p in citations(file, text)
            if m[1] not in sections(p)
        ]
    return found


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_code_cites_sections_that_are_there() -> None:
    assert [error for file in SOURCES for error in wrong(file)] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_cite_sections_that_are_there(file: Path) -> None:
    assert wrong(file) == []


@pytest.mark.parametrize("file", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_pages_lead_somewhere(file: Path) -> None:
    for link in LINK.findall(CODE.sub("", file.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (file.parent / name) if name else file
        assert target.exists(), f"{file.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{file.name} links to {link}"


def test_a_wrong_citation_is_found(tmp_path: Path) -> None:
    file = ROOT / "connector" / "nowhere.py"
    said = '"""Of docs/reference/hubspot.md §4, §13. Then §5."""'
    assert [match[1] for match, _ in citations(file, said)] == ["4", "13", "5"]
    with pytest.raises(AssertionError, match="of which page"):
        list(citations(file, "# §5"))
    page = tmp_path / "page.md"
    page.write_text("## 1. One\n### 1.2 Two\n- **1.3** three\n1. four\n", encoding="utf-8")
    assert sections(page) == {"1", "1.2", "1.3"}
