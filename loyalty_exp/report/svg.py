"""A drawing made fit for a page: its colours named, its text in the page's type, its noise gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["COLOURS", "tidy"]

COLOURS = {
    "#101010": "ink",
    "#707070": "muted",
    "#d0d0d0": "rule",
    "#0b5c8a": "treated",
    "#8a8f98": "holdout",
    "#0b4f4a": "gain",
    "#b8501f": "loss",
    "#fefefe": "paper",
}
"""Colours a chart may use and the name under which the style fills them."""
_SVG = "http://www.w3.org/2000/svg"
_DROPPED = ("class", "role", "pointer-events", "font-family", "stroke-miterlimit")


def tidy(svg: str, text: str) -> Markup:
    """The drawing without ids, roles and fonts of its own; colours named, figures short."""
    from markupsafe import Markup  # noqa: PLC0415

    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)  # noqa: S314  (drawn here, from numbers and escaped words)
    _tidy_element(root)
    width, height = root.get("width", "0"), root.get("height", "0")
    root.attrib.clear()
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-label", text)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  (serialised by ElementTree)


def _tidy_element(element: ET.Element) -> None:
    for name in [name for name in element.attrib if _is_noise(element, name)]:
        del element.attrib[name]
    named = [n for n in ("fill", "stroke") if element.get(n, "") in COLOURS]
    if named:
        tokens = [f"{name}-{COLOURS[element.attrib.pop(name)]}" for name in named]
        element.set("class", " ".join(tokens))
    for name in ("d", "transform"):
        if name in element.attrib:
            element.set(name, re.sub(r"-?\d+\.\d+", _short, element.get(name, "")))
    for child in list(element):
        _tidy_element(child)
        if _is_empty(child):
            element.remove(child)


def _is_noise(element: ET.Element, name: str) -> bool:
    """Whether an attribute says nothing a reader or the style needs."""
    if name == "opacity":
        return element.get(name) == "1"
    return name in _DROPPED or name.startswith("aria-")


def _short(match: re.Match[str]) -> str:
    return f"{float(match.group()):.1f}".removesuffix(".0")


def _is_empty(element: ET.Element) -> bool:
    """Whether an element draws nothing: an empty group, path or text, or a clear background."""
    tag = element.tag.rpartition("}")[2]
    if element.get("display") == "none":
        return True
    if tag == "g":
        return len(element) == 0
    if tag == "text":
        return not (element.text or len(element))
    if tag in ("path", "rect"):
        unseen = element.get("fill") in (None, "transparent") and not element.get("stroke")
        return element.get("d") == "" or ("class" not in element.attrib and unseen)
    return False
