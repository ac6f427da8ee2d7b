import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.simulators import compilation
from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.cells import CELLS, Changes, rebuild

ENGINES = [pytest.param(True, marks=pytest.mark.skipif(not compilation.AVAILABLE, reason="needs numba")), False]


def screens(seed, frames):
    """Screens of which few cells change, some of them back."""
    random = np.random.default_rng(seed)
    chars, colours = np.full((frames, CELLS), 32, np.uint8), np.zeros((frames, CELLS), np.int8)
    for t in range(frames):
        if t:
            chars[t], colours[t] = chars[t - 1], colours[t - 1]
        where = random.integers(0, CELLS, random.integers(0, 40))
        chars[t, where], colours[t, where] = random.integers(0, 256, len(where)), random.integers(0, 32, len(where))
    return chars.reshape(-1, 24, 80), colours.reshape(-1, 24, 80)


@pytest.mark.parametrize("compiled", ENGINES)
@settings(deadline=None, max_examples=30)  # the first call compiles
@given(st.integers(0, 10**6), st.integers(1, 600), st.data())
def test_screens_come_back_from_their_changes(compiled, seed, frames, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "AVAILABLE", compiled)
        chars, colours = screens(seed, frames)
        edges = range(0, frames, 256)
        blocks = [[one.copy() for one in Changes().find(chars[t : t + 256], colours[t : t + 256])] for t in edges]
        counts, *cells = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        start = data.draw(st.integers(0, frames - 1))
        stop = data.draw(st.integers(start + 1, frames))
        offsets = np.concatenate([[0], np.cumsum(counts)])[start // 256 * 256 : stop + 1]
        again = [np.empty((stop - start, 24, 80), np.uint8) for _ in range(2)]
        rebuild(offsets, tuple(cells), *again)
    np.testing.assert_array_equal(again[0], chars[start:stop])
    np.testing.assert_array_equal(again[1], colours[start:stop])


@pytest.mark.skipif(not compilation.AVAILABLE, reason="needs numba")
def test_changes_are_the_same_with_and_without_numba(monkeypatch):
    chars, colours = screens(0, 256)
    compiled = [np.array(one) for one in Changes().find(chars, colours)]
    monkeypatch.setattr(compilation, "AVAILABLE", False)
    for one, other in zip(compiled, Changes().find(chars, colours), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_a_key_frame_tells_what_is_not_blank_and_later_ones_what_changes():
    chars, colours = np.full((3, 24, 80), 32, np.uint8), np.zeros((3, 24, 80), np.int8)
    chars[:, 1, 2], colours[1:, 1, 2], colours[2, 0, 0] = ord("@"), 7, 23
    counts, position, character, colour = Changes().find(chars, colours)
    assert counts.tolist() == [1, 1, 1]
    assert position.tolist() == [82, 82, 0]
    assert character.tolist() == [ord("@"), ord("@"), 32]
    assert colour.tolist() == [0, 7, 23]


@pytest.mark.parametrize("compiled", ENGINES)
@pytest.mark.parametrize(("offsets", "place"), [([0, 1, 2], 1920), ([0, 2, 1], 5), ([0, 1, 3], 5), ([-1, 1, 2], 5)])
def test_damaged_cells_are_refused_and_not_written(monkeypatch, compiled, offsets, place):
    monkeypatch.setattr(compilation, "AVAILABLE", compiled)
    cells = np.array([3, place], np.uint16), np.full(2, 64, np.uint8), np.full(2, 7, np.uint8)
    planes = [np.empty((2, 24, 80), np.uint8) for _ in range(2)]
    with pytest.raises(InputError, match="the changed cells are damaged: import the recordings again"):
        rebuild(np.array(offsets), cells, *planes)
