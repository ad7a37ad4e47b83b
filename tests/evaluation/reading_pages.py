"""A page as a parser sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


@dataclass
class Element:
    """An element with its attributes, and all the text inside it."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[Element, ...]
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def within(self, tag: str) -> bool:
        return any(each.tag == tag for each in self.inside)


@dataclass
class Page(HTMLParser):
    """All elements of a page, in order; it must be well nested."""

    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, text: str) -> Page:
        page = cls()
        page.feed(text)
        page.close()
        assert not page._open, [each.tag for each in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag, attributes, tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each.pieces.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements of a tag; ``class_`` stands for the attribute ``class``."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            each
            for each in self.elements
            if each.tag == tag and all(each.attributes.get(name) == value for name, value in wanted.items())
        ]
