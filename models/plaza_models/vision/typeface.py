"""The letters of drawn text: those that come with Pillow, or a font that a bundle brings."""

from __future__ import annotations

import io
import json
import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_NOBODY_HAS = "\uffff"
"""No letter by definition, so that it looks as what a font lacks."""
_REMEMBERED = 4096
"""Letters: names of lines come with requests, so that there is no end to them."""


class Typeface:
    """Letters in any size. Safe on any number of threads."""

    def __init__(self, content: bytes | None = None) -> None:
        """`content` is of a TrueType or OpenType file; None: Pillow's own. Raises OSError where it
        is none."""
        self._content = content
        self._trial = self.of(20)
        self.has = lru_cache(_REMEMBERED)(self._has)

    def of(self, size: float) -> Font:
        """`size` in pixels."""
        if self._content is None:
            return ImageFont.load_default(size)
        return ImageFont.truetype(io.BytesIO(self._content), size)

    def legible(self, text: str) -> str:
        """With what it lacks less its marks, else as JSON escapes it: empty boxes are all alike."""
        return "".join(map(self._shown, text))

    def _shown(self, letter: str) -> str:
        if self.has(letter):
            return letter
        bare = unicodedata.normalize("NFD", letter)[0]
        return bare if self.has(bare) else json.dumps(letter)[1:-1]

    def _has(self, letter: str) -> bool:
        if letter == " ":
            return True
        return letter.isprintable() and self._look(letter) != self._look(_NOBODY_HAS)

    def _look(self, letter: str) -> tuple[tuple[int, int], bytes]:
        mask = self._trial.getmask(letter)
        return mask.size, bytes(mask)


PLAIN = Typeface()
