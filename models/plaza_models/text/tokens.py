"""Text -> pieces of a vocabulary, by a tokeniser that is data in the bundle.

    text ─tokenizer.json─▶ pieces ─▶ indices and weights

The file is that of the `tokenizers` library: normaliser, splitter and vocabulary. It is read when
the model is opened, and nothing in it is code. Marks that it would add at the ends are left out for
a sum of vectors, which has no ends, and kept for an encoder, which learnt to see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_models.options import Options
from plaza_models.tasks import Cut
from plaza_models.text.ngrams import Features

_FILE_LIMIT = 16 << 20
"""Characters of a tokeniser that are worth reading."""


class TokenOptions(Options):
    """How text becomes pieces. Training and serving read the same file."""

    tokenizer: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="file of the tokenizers library"
    )
    width: int = Field(ge=1, le=65_536, description="pieces a text may have at most")
    max_characters: int = Field(default=2_000, ge=1, le=100_000, description="longest text")


class TokenReader:
    """Pieces with weight 1, in order. Equal pieces stand as often as they occur."""

    def __init__(self, tokenizer: Any, options: TokenOptions, *, marks: bool = False) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._marked = marks
        self.width = options.width
        self._room = options.width
        if marks:
            self._room -= tokenizer.num_special_tokens_to_add(is_pair=False)
        if self._room < 1:
            raise InvalidBundle("nothing but marks has room in this", input="options.width")

    @classmethod
    def open(cls, directory: Path, options: TokenOptions, *, marks: bool = False) -> TokenReader:
        """With `marks`, a text has those at its ends that the file says. Raises InvalidBundle
        naming `options.tokenizer` for a file that is none."""
        from tokenizers import Tokenizer  # models that read n-grams do without

        said = _read_file(directory / options.tokenizer)
        try:
            tokenizer = Tokenizer.from_str(said)
        except Exception as error:  # noqa: BLE001  the library raises plain Exception
            raise InvalidBundle(
                f"this is no file of the tokenizers library: {error}", input="options.tokenizer"
            ) from None
        # Whatever the file says about length is overruled: the options say it.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, options, marks=marks)

    @property
    def size(self) -> int:
        """Pieces in the vocabulary."""
        found: int = self._tokenizer.get_vocab_size()
        return found

    def pieces(self, text: str) -> list[int]:
        """The numbers of the pieces of `text`, in order, however many there are."""
        found: list[int] = self._encode(text).ids
        return found

    def _encode(self, text: str) -> Any:
        # Surrogates that stand alone are no characters, and the library takes none.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return self._tokenizer.encode(clean, add_special_tokens=False)

    def read(self, texts: Sequence[str], cut: Cut, *, narrow: bool) -> Features:
        """Raises InvalidInput naming `texts`, or `texts[i]` when that text has no piece, or too
        many and is not to be `cut`."""
        rows = self.rows(texts, cut)
        counts = tuple(map(len, rows))
        width = max(counts) if narrow else self.width
        indices = np.zeros((len(rows), width), np.int64)
        weights = np.zeros((len(rows), width), np.float32)
        for place, row in enumerate(rows):
            indices[place, : len(row)] = row
            weights[place, : len(row)] = 1
        return Features(indices, weights, counts)

    def rows(self, texts: Sequence[str], cut: Cut) -> list[list[int]]:
        """The numbers of the pieces of every text, and of its marks. Raises as `read`."""
        if not texts:
            raise InvalidInput("send at least one text", input="texts")
        return [self._row(text, cut, f"texts[{i}]") for i, text in enumerate(texts)]

    def _row(self, text: str, cut: Cut, where: str) -> list[int]:
        if not isinstance(text, str):
            raise InvalidInput("a text must be a string", input=where)
        most = self._options.max_characters
        if len(text) > most:
            if cut == "no":
                raise InvalidInput(
                    f"a text may have {most} characters, this has {len(text)}", input=where
                )
            text = text[:most] if cut == "end" else text[-most:]
        read = self._encode(text)
        if not read.ids:
            raise InvalidInput("the text has no letter and no digit", input=where)
        if len(read.ids) > self._room:
            if cut == "no":
                raise InvalidInput(
                    f"the text is too long: it has {len(read.ids)} pieces and the model reads "
                    f"{self._room}",
                    input=where,
                )
            read.truncate(self._room, direction="right" if cut == "end" else "left")
        if self._marked:
            read = self._tokenizer.post_process(read)
        found: list[int] = read.ids
        return found


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            said = file.read(_FILE_LIMIT + 1)
    except (OSError, UnicodeDecodeError):
        raise InvalidBundle(
            "the file of the tokeniser cannot be read", input="options.tokenizer"
        ) from None
    if len(said) > _FILE_LIMIT:
        raise InvalidBundle(
            f"the file has more than {_FILE_LIMIT:,} characters", input="options.tokenizer"
        )
    return said
