"""ICU-Sepsis, from the file that its package publishes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance

FOLDER = data_folder()
needs_file = pytest.mark.skipif(
    FOLDER is None or not (FOLDER / "ope" / "icu_sepsis_dynamics.npz").is_file(),
    reason="no icu_sepsis_dynamics.npz in the folder of real data",
)
PUBLISHED = {"random": (0.78, 9.45), "expert": (0.78, 9.22), "optimal": (0.88, 10.99)}


@needs_file
@pytest.mark.parametrize("policy", PUBLISHED)
def test_returns_and_lengths_of_the_policies_are_those_published(policy):
    """arXiv 2406.05646: average returns .78, .78, .88 and lengths 9.45, 9.22, 10.99 of simulated episodes."""
    mdp = instance("icu-sepsis", target=policy)
    value, length = PUBLISHED[policy]
    assert mdp.value() == pytest.approx(value, abs=0.005)
    going = ~mdp.terminal
    chain = np.einsum("sa,sat->st", mdp.target, mdp.transitions)[np.ix_(going, going)]
    steps = np.linalg.solve(np.eye(int(going.sum())) - chain, np.ones(int(going.sum())))
    assert mdp.initial[going] @ steps == pytest.approx(length, abs=0.025)


@needs_file
def test_shape_terminal_states_and_rewards():
    mdp = instance("icu-sepsis")
    assert (mdp.states, mdp.actions) == (716, 25)
    assert_array_equal(np.flatnonzero(mdp.terminal), [713, 714, 715])
    assert_array_equal(np.flatnonzero(mdp.arrival), [714])
    assert_array_equal(mdp.transitions[715, :, 715], 1)
    assert_array_equal(mdp.features[713:], 0)
    with np.load(FOLDER / "ope" / "icu_sepsis_dynamics.npz") as held:
        silent = np.flatnonzero(held["expert_policy"].sum(axis=1) == 0)
        mean = np.einsum("sat,sat->sa", held["tx_mat"], held["r_mat"])
    assert_array_equal(silent, [713, 714, 715])
    assert_array_equal(mdp.target[silent], 1 / 25)
    assert_allclose(mdp.rewards[:713], mean[:713], atol=1e-15)


@needs_file
def test_no_treatment_is_better_than_the_optimal_one():
    mdp = instance("icu-sepsis", target="optimal")
    assert (mdp.action_values()[:713].max(axis=1) <= mdp.values()[:713] + 1e-9).all()


@needs_file
def test_data_is_where_the_behaviour_policy_goes():
    mdp = instance("icu-sepsis", behaviour="expert")
    visits = mdp.data.sum(axis=1)
    flow = np.einsum("sa,sat->t", mdp.data, mdp.transitions)
    steps = 1 / (flow[713] + flow[714])  # an episode's; of its visits, each but the first follows another
    assert_allclose(visits[:713], (mdp.initial / steps + flow)[:713], atol=1e-12)
    assert steps == pytest.approx(9.22, abs=0.025)


def test_a_missing_file_and_one_that_holds_something_else_are_told(tmp_path, monkeypatch):
    other = tmp_path / "other.npz"
    np.savez(other, tx_mat=np.ones(3))
    with pytest.raises(InputError, match=r"other.npz: holds no dynamics of ICU-Sepsis: .*r_mat"):
        instance("icu-sepsis", path=str(other))
    with pytest.raises(InputError, match=r"absent.npz: holds no dynamics"):
        instance("icu-sepsis", path=str(tmp_path / "absent.npz"))
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"icu_sepsis_dynamics\.npz is not here; name it"):
        instance("icu-sepsis")
    with pytest.raises(InputError, match="target is 'best'; there are random, expert, optimal"):
        instance("icu-sepsis", target="best")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"d_0": np.ones(5) / 5}, r"d_0 has shape \[5\]"),
        ({"tx_mat": np.full((4, 2, 4), 0.3)}, r"tx_mat\[0, 0\] sums to 1.2; it must sum to 1"),
        ({"r_mat": np.arange(32.0).reshape(4, 2, 4)}, "r_mat must depend on the state that is reached alone"),
    ],
)
def test_arrays_that_make_no_world_are_told(changed, message, tmp_path):
    arrays = {"tx_mat": np.full((4, 2, 4), 0.25), "r_mat": np.zeros((4, 2, 4)), "d_0": np.eye(4)[0]}
    arrays |= {"expert_policy": np.full((4, 2), 0.5), "state_cluster_centers": np.zeros((4, 3))}
    np.savez(tmp_path / "icu.npz", **(arrays | changed))
    with pytest.raises(InputError, match=message):
        instance("icu-sepsis", path=str(tmp_path / "icu.npz"))
