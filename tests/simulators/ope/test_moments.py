import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments


def moments(seed=0, batch=(), d=3, drawn=True):
    generator = np.random.default_rng(seed)
    return Moments(
        weight=generator.uniform(1, 2, batch) if batch else 1.5,
        rows=4,
        covariance=generator.normal(size=(*batch, d, d)),
        cross_covariance=generator.normal(size=(*batch, d, d)),
        reward_moment=generator.normal(size=(*batch, d)),
        reward_square=generator.normal(size=batch),
        initial_features=generator.normal(size=(*batch, d)),
        initial_weight=2.0,
        next_covariance=generator.normal(size=(*batch, d, d)) if drawn else None,
        next_features="drawn" if drawn else "mean",
        next_covariance_from="drawn" if drawn else None,
        next_reward_moment=generator.normal(size=(*batch, d)) if drawn else None,
    )


def test_moments_add_up():
    total = moments(0) + moments(1)
    assert total.weight == 3.0
    assert total.rows == 8
    np.testing.assert_array_equal(total.covariance, moments(0).covariance + moments(1).covariance)
    np.testing.assert_array_equal(total.initial_mean, total.initial_features / 4)


def test_the_mean_has_weight_one_and_keeps_the_starts():
    mean = moments().mean()
    assert mean.weight == 1.0
    np.testing.assert_allclose(mean.reward_moment, moments().reward_moment / 1.5)
    np.testing.assert_array_equal(mean.initial_mean, moments().initial_mean)


def test_each_of_many_has_its_own_mean():
    many = moments(batch=(5,))
    mean = many.mean()
    np.testing.assert_allclose(mean.covariance[3], many.covariance[3] / many.weight[3])
    assert mean.initial_mean.shape == (5, 3)


def test_a_mixture_counts_each_log_as_often_as_it_says():
    many, counts = moments(batch=(3,)), np.array([[2, 0, 1], [1, 1, 1]])
    mixed = many.combined(counts)
    np.testing.assert_allclose(mixed.cross_covariance[0], 2 * many.cross_covariance[0] + many.cross_covariance[2])
    np.testing.assert_allclose(mixed.weight, counts @ many.weight)
    np.testing.assert_allclose(mixed.initial_weight, [6.0, 6.0])
    np.testing.assert_allclose(mixed.reward_square[1], many.reward_square.sum())


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("drawn", [True, False])
def test_what_is_saved_is_what_is_loaded(tmp_path, batch, drawn):
    path = tmp_path / "moments.npz"
    moments(batch=batch, drawn=drawn).save(path)
    held, expected = Moments.load(path), moments(batch=batch, drawn=drawn)
    for name in Moments.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(held, name), getattr(expected, name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["moments.npz"]


def test_another_file_holds_no_moments(tmp_path):
    np.savez(tmp_path / "other.npz", rows=np.ones(2))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(InputError, match=r"broken\.npz: holds no moments"):
        Moments.load(tmp_path / "broken.npz")
    with pytest.raises(InputError, match="there is no such file"):
        Moments.load(tmp_path / "none.npz")
    with pytest.raises(InputError, match=r"other\.npz: holds no moments"):
        Moments.load(tmp_path / "other.npz")


def test_moments_of_different_kinds_are_not_added():
    with pytest.raises(ValueError, match="different ways"):
        moments(drawn=True) + moments(drawn=False)
    with pytest.raises(ValueError, match="of 3 and of 2 features"):
        moments(d=3) + moments(d=2)
    with pytest.raises(ValueError, match="factor must be positive"):
        moments().scaled(0.0)
    with pytest.raises(ValueError, match="counts of 4 logs"):
        moments(batch=(3,)).combined(np.ones((1, 4)))
