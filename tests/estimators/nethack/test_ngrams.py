import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.estimators.nethack.ngrams import Ngrams
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.nethack.ttyrec import read_keys

GAMES = [np.array([0, 1, 0, 1, 2, 0, 1]), np.array([1, 0, 1]), np.array([2])]


def plain(train, game, order, add, classes):
    """The same by counting in dictionaries, key by key, as the formulas stand."""
    followers = {}
    for played in (one.tolist() for one in train):
        for k in range(order + 1):
            for t in range(k, len(played)):
                counts = followers.setdefault(tuple(played[t - k : t]), {})
                counts[played[t]] = counts.get(played[t], 0) + 1

    def witten_bell(context, key):
        shorter = witten_bell(context[1:], key) if context else 1 / classes
        counts = followers.get(context, {})
        total, types = sum(counts.values()), len(counts)
        return (counts.get(key, 0) + types * shorter) / (total + types) if total else shorter

    def added(context, key):
        counts = followers.get(context, {})
        return (counts.get(key, 0) + add) / (sum(counts.values()) + add * classes)

    told = witten_bell if add is None else added
    played = game.tolist()
    return np.log([told(tuple(played[t - order : t]), played[t]) for t in range(order, len(played))])


def test_one_context_counted_by_hand():
    """After 1 came 0 twice and 2 once; of the 11 keys 4 are 0."""
    smoothed = Ngrams(1, add=0.5, classes=3).fit(GAMES)
    assert smoothed.predict(np.array([1])) == pytest.approx([2.5 / 4.5, 0.5 / 4.5, 1.5 / 4.5])
    order_0 = (4 + 3 / 3) / (11 + 3)  # three types, below which all three keys are equally likely
    interpolated = Ngrams(1, classes=3).fit(GAMES).predict(np.array([1]))
    assert interpolated[0] == pytest.approx((2 + 2 * order_0) / (3 + 2))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.sampled_from([None, 0.1, 2.0]), st.integers(2, 5))
def test_counts_are_those_of_plain_dictionaries(seed, order, add, classes):
    random = np.random.default_rng(seed)
    train = [random.integers(0, classes, random.integers(0, 30)) for _ in range(4)] + [np.zeros(order + 1, np.int64)]
    result = Ngrams(order, add, classes).fit(train)
    game = random.integers(0, classes, random.integers(0, 20))
    expected = plain(train, game, order, add, classes)
    np.testing.assert_allclose(result.log_probability(game), expected, rtol=1e-12)
    context = random.integers(0, classes, order + 2)
    assert result.predict(context).sum() == pytest.approx(1)


def test_losses_are_means_over_keys_and_by_game():
    result = Ngrams(2, classes=3).fit(GAMES)
    loss = result.evaluate(GAMES)
    assert loss.keys == 6
    assert loss.keys_by_game.tolist() == [5, 1, 0]
    assert np.isnan(loss.by_game[2])
    assert loss.nats == pytest.approx(np.nansum(loss.by_game * loss.keys_by_game) / 6)
    assert loss.summary() == f"{loss.nats:.4f} nats a key ({loss.nats / np.log(2):.4f} bits), 6 keys"
    assert result.summary() == "order 2, Witten-Bell: 6 keys, 4 contexts, 3 classes"
    assert Ngrams(0, 0.1, 3).fit(GAMES).summary() == "order 0, add-0.1: 11 keys, 1 contexts, 3 classes"


def test_what_cannot_be_counted_is_refused():
    for arguments, message in (((-1,), "order must be"), ((1, 0.0), "add must be"), ((1, None, 0), "classes must be")):
        with pytest.raises(ValueError, match=message):
            Ngrams(*arguments)
    result = Ngrams(1, classes=3).fit(GAMES)
    for games in ([np.array([3])], [np.array([-1])], [np.array([0.5])], [np.zeros((2, 2), np.int64)]):
        with pytest.raises(ValueError, match=r"games must hold arrays \[T\] of integers in \[0, 3\)"):
            Ngrams(0, classes=3).fit(games)
        with pytest.raises(ValueError, match="games must hold arrays"):
            result.evaluate(games)
    with pytest.raises(ValueError, match="games must hold one with more than 9 keys"):
        Ngrams(9, classes=3).fit(GAMES)
    with pytest.raises(ValueError, match="games must hold one with more than 1 keys"):
        result.evaluate([np.array([1])])
    with pytest.raises(ValueError, match="context must hold at least 1 keys, not 0"):
        result.predict(np.array([], np.int64))


@pytest.fixture(scope="module")
def keys():
    folder = data_folder()
    if folder is None or not (folder / "nethack" / "autoascend").is_dir():
        pytest.skip("needs recorded games: data folder nethack/autoascend")
    paths = sorted((folder / "nethack" / "autoascend").glob("*/*.ttyrec3.bz2"))
    return {path.parent.name: read_keys(path).astype(np.int64) for path in paths}


HELD_OUT = ("1", "5", "13", "17", "21")


@pytest.mark.slow
@pytest.mark.parametrize(("order", "nats"), [(0, 3.0076), (1, 1.8315), (2, 1.4471), (3, 1.3987)])
def test_add_a_on_real_games(keys, order, nats):
    """Games 1, 5, 13, 17 and 21 of AutoAscend, counted by another program; add-0.1, 121 classes."""
    result = Ngrams(order, add=0.1, classes=121).fit([key for id_, key in keys.items() if id_ not in HELD_OUT])
    loss = result.evaluate([keys[id_] for id_ in HELD_OUT])
    assert sum(len(keys[id_]) for id_ in HELD_OUT) == 103_595
    assert loss.keys == 103_595 - 5 * order
    assert round(loss.nats, 4) == nats
    if order == 3:
        assert loss.by_game.round(3).tolist() == [1.33, 1.322, 1.312, 1.703, 1.239]


@pytest.mark.slow
def test_another_split_and_interpolation_on_real_games(keys):
    """Names sorted as text, even places train: 1.5166. Witten-Bell, games 1, 5, 13, 17, 21 held out: about 1.345."""
    assert sum(map(len, keys.values())) == 588_073
    names = sorted(keys)
    split = Ngrams(3, add=0.1, classes=121).fit([keys[id_] for id_ in names[::2]])
    assert round(split.evaluate([keys[id_] for id_ in names[1::2]]).nats, 4) == 1.5166
    result = Ngrams(3, classes=121).fit([key for id_, key in keys.items() if id_ not in HELD_OUT])
    assert round(result.evaluate([keys[id_] for id_ in HELD_OUT]).nats, 3) == 1.345
