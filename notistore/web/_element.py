"""The custom element `<notistore-inbox>` as every mount serves it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

__all__ = ["ELEMENT", "copy_element", "read_element"]

ELEMENT: Final = "notistore-inbox.js"
TYPES: Final = "notistore-inbox.d.ts"

_STATIC: Final = files("notistore.web").joinpath("static")


def read_element() -> bytes:
    """The source of the custom element, an ES module."""
    return _STATIC.joinpath(ELEMENT).read_bytes()


def copy_element(folder: Path) -> list[Path]:
    """Copy the element and its TypeScript types into a folder, which is created if missing. Returns the paths of the
    copies."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for name in (ELEMENT, TYPES):
        copy = folder / name
        copy.write_bytes(_STATIC.joinpath(name).read_bytes())
        copies.append(copy)
    return copies
