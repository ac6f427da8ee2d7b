"""Pictures of the screen of NetHack: as text with colours, and as an image."""

from functools import lru_cache
from pathlib import Path

import numpy as np

CELL = (16, 8)
"""Rows and columns of pixels of a character in an image."""

_PALETTE = np.array(
    [
        (40, 40, 40), (205, 49, 49), (13, 160, 90), (170, 120, 40), (60, 120, 220), (188, 63, 188), (17, 150, 180),
        (200, 200, 200), (110, 110, 110), (241, 110, 40), (80, 220, 120), (245, 230, 90), (110, 170, 255),
        (230, 120, 230), (70, 220, 240), (255, 255, 255),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""Colours 0 to 15 of a terminal; 16 to 31 are the same with ink and paper exchanged. Black ink is dark grey here."""

_REVERSED, _BRIGHT, _PLAIN = 16, 8, "\033[0m"


def screen_text(chars: np.ndarray, colors: np.ndarray, cursor: np.ndarray) -> str:
    """Return a screen as 24 lines of text with ANSI escape sequences; the cursor is underlined.

    Args:
        chars: uint8 [24, 80], ``tty_chars``.
        colors: int8 [24, 80] in [0, 32), ``tty_colors``.
        cursor: uint8 [2], row and column, ``tty_cursor``.
    """
    at = (int(cursor[0]), int(cursor[1]))
    lines = []
    for row, (codes, inks) in enumerate(zip(chars.tolist(), colors.tolist(), strict=True)):
        pieces, present = [], _PLAIN
        for column, (code, ink) in enumerate(zip(codes, inks, strict=True)):
            letter = chr(code) if 32 <= code < 127 else " "
            underlined = (row, column) == at
            style = _PLAIN if letter == " " and not (underlined or ink & _REVERSED) else _style(ink, underlined)
            if style != present:
                pieces.append(style)
                present = style
            pieces.append(letter)
        lines.append("".join(pieces).rstrip() + (_PLAIN if present != _PLAIN else ""))
    return "\n".join(lines)


@lru_cache(maxsize=64)
def _style(ink: int, underlined: bool) -> str:
    """Return the escape sequence of a colour."""
    base = 90 if ink & _BRIGHT else 30
    return f"\033[0;{base + (ink & 7)}{';7' if ink & _REVERSED else ''}{';4' if underlined else ''}m"


def screen_image(chars: np.ndarray, colors: np.ndarray, cursor: np.ndarray) -> np.ndarray:
    """Return a screen as an image, uint8 [24 * 16, 80 * 8, 3]; the arguments are those of ``screen_text``."""
    ink = _PALETTE[colors & 15].astype(np.float32)[:, None, :, None, :]
    paper = np.zeros_like(ink)
    swapped = (colors & _REVERSED).astype(bool)[:, None, :, None, None]
    ink, paper = np.where(swapped, paper, ink), np.where(swapped, ink, paper)
    cover = _letters()[chars].transpose(0, 2, 1, 3)[..., None]  # [24, 16, 80, 8, 1]
    image = (paper + cover * (ink - paper)).astype(np.uint8)
    if cursor[0] < chars.shape[0] and cursor[1] < chars.shape[1]:
        image[cursor[0], -2:, cursor[1]] = 255
    return image.reshape(chars.shape[0] * CELL[0], chars.shape[1] * CELL[1], 3)


@lru_cache(maxsize=1)
def _letters() -> np.ndarray:
    """Return how much ink covers each character's pixels, float32 [256, 16, 8] in [0, 1]; in matplotlib's own font."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path(), "fonts/ttf/DejaVuSansMono.ttf")))
    font.set_size(9.5, 96)
    letters = np.zeros((256, *CELL), np.float32)
    baseline = 12
    for code in range(33, 127):
        font.set_text(chr(code), 0.0)
        font.draw_glyphs_to_bitmap(antialiased=True)
        drawn = np.asarray(font.get_image(), np.float32) / 255
        left = font.get_bitmap_offset()[0] // 64  # the font counts in 64ths of a pixel
        top = baseline - font.load_char(code).horiBearingY // 64
        room = letters[code, top:, left:]
        room[: drawn.shape[0], : drawn.shape[1]] = drawn[: room.shape[0], : room.shape[1]]
    return letters
