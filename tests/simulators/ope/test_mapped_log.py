import numpy as np
import pytest

from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.mapped_log import map_log, map_npz


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return {
        "features": generator.normal(size=(50, 3)),
        "next_features": generator.normal(size=(50, 3)),
        "reward": generator.normal(size=50),
    }


def test_arrays_stay_in_the_file_and_are_those_that_were_saved(tmp_path, arrays):
    arrays |= {"turned": np.asfortranarray(arrays["features"]), "text": np.array(["a", "bc"])}
    arrays |= {"empty": np.zeros((0, 3)), "number": np.array(3.0), "float32": arrays["reward"].astype(np.float32)}
    np.savez(tmp_path / "log.npz", **arrays)
    mapped = map_npz(tmp_path / "log.npz")
    assert set(mapped) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert mapped[name].dtype == array.dtype
    assert isinstance(mapped["features"], np.memmap)
    assert not mapped["features"].flags.writeable


def test_compressed_arrays_are_refused_and_it_is_told_what_to_do(tmp_path, arrays):
    np.savez_compressed(tmp_path / "log.npz", **arrays)
    with pytest.raises(InputError, match=r"log\.npz, array features: it is compressed.*numpy\.savez instead"):
        map_log(tmp_path / "log.npz")


def test_files_that_are_none_are_refused(tmp_path, arrays):
    with pytest.raises(InputError, match="there is no such file"):
        map_npz(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("features")
    with pytest.raises(InputError, match="this is no npz file"):
        map_npz(tmp_path / "text.npz")
    np.savez(tmp_path / "objects.npz", features=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="array features: it holds Python objects"):
        map_npz(tmp_path / "objects.npz")


def test_rows_without_episodes_are_independent(tmp_path, arrays):
    np.savez(tmp_path / "log.npz", **arrays, initial_features=np.ones((1, 3)))
    log = map_log(tmp_path / "log.npz")
    assert log.independent
    assert log.episodes == 50
    assert log.truncated.all()
    expected = arrays["features"].T @ arrays["next_features"]
    np.testing.assert_allclose(moments_of_log(log).cross_covariance, expected)


def test_episodes_end_where_the_next_begins(tmp_path, arrays):
    episode = np.repeat([0, 1, 2], [20, 1, 29])
    terminated = np.zeros(50, dtype=bool)
    terminated[19] = True
    np.savez(tmp_path / "log.npz", **arrays, episode=episode, terminated=terminated, weight=np.full(50, 0.5))
    log = map_log(tmp_path / "log.npz")
    assert not log.independent
    np.testing.assert_array_equal(np.flatnonzero(log.truncated), [20, 49])
    np.testing.assert_array_equal(log.step[[0, 19, 20, 21, 49]], [0, 19, 0, 0, 28])
    assert moments_of_log(log).weight == 25.0


def test_a_number_that_is_not_finite_is_named_with_the_file_and_the_row(tmp_path, arrays):
    arrays["next_features"][31, 2] = np.nan
    np.savez(tmp_path / "log.npz", **arrays)
    with pytest.raises(InputError, match=r"log\.npz, row 31: next_features, column 2, is nan"):
        moments_of_log(map_log(tmp_path / "log.npz"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reward": None}, "array reward is missing; found features, next_features"),
        ({"reward": np.ones(49)}, r"array reward: it must have one number a row, \[50\]"),
        ({"next_features": np.ones((50, 2))}, "features and next_features must both be"),
        ({"episode": np.repeat([0, 2], 25)}, "row 25: episodes must be numbered"),
        ({"episode": np.ones(50)}, "row 0: episodes must be numbered"),
    ],
)
def test_files_that_hold_no_log_are_refused(tmp_path, arrays, changed, message):
    held = {name: array for name, array in (arrays | changed).items() if array is not None}
    np.savez(tmp_path / "log.npz", **held)
    with pytest.raises(InputError, match=message):
        map_log(tmp_path / "log.npz")


def test_a_file_that_was_cut_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "log.npz", **arrays)
    whole = (tmp_path / "log.npz").read_bytes()
    (tmp_path / "log.npz").write_bytes(whole[:800])
    with pytest.raises(InputError, match="this is no npz file"):
        map_log(tmp_path / "log.npz")
