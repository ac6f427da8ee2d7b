"""The frontier holds what took part in the backtest, and what each family would have earned at other service."""

from dataclasses import replace

import numpy as np
import pytest

from sandtable.agents.inventory.candidates import classical_candidates
from sandtable.analysis.inventory.backtest import backtest
from sandtable.analysis.inventory.frontier import frontier_figure, frontier_section, service_frontier
from sandtable.analysis.inventory.participants import CLAIRVOYANT, LEARNED, UNTRAINED
from sandtable.analysis.inventory.plan import played
from sandtable.analysis.inventory.settings import BacktestSettings


@pytest.fixture(scope="module")
def result(small_history):
    return backtest(small_history, BacktestSettings(learn=4, seeds=1, sensitivity=False, unseen=0.3))


@pytest.fixture(scope="module")
def points(result):
    return service_frontier(result)


def test_the_chosen_points_are_the_runs_of_the_backtest(result, points):
    chosen = {point.policy: point for point in points if point.chosen}
    assert set(chosen) == set(result.participants) - {"order nothing", UNTRAINED}
    for name, point in chosen.items():
        run, scoring = result.trajectories[name], result.scoring
        assert point.profit == pytest.approx(scoring.profit(run).sum())
        assert point.service == result.participants[name].settings.get("service")
        sales, demand = ((run[field] * scoring.counts).sum() for field in ("sales", "demand"))
        assert point.fill_rate == pytest.approx(sales / demand)
    assert chosen[CLAIRVOYANT].profit >= max(point.profit for point in points)
    assert chosen[LEARNED].service is None


def test_each_family_is_played_at_each_service_with_its_other_settings(result, points):
    family = [point for point in points if point.policy == "capped base-stock"]
    assert [point.service for point in family] == sorted({point.service for point in family})
    assert sum(point.chosen for point in family) == 1
    participant = result.participants["capped base-stock"]
    other = next(point for point in family if not point.chosen)
    build = next(one for one in classical_candidates(result.panel, 40) if one.name == "capped base-stock").build
    policy = build(result.panel, result.split.validate, **{**participant.settings, "service": other.service})
    run = played(result.plan, result.plan.test(), policy, np.arange(result.panel.products), "again")
    assert other.profit == pytest.approx(result.scoring.profit(run).sum())


def test_more_service_means_more_stock_and_no_less_sold(points):
    family = [point for point in points if point.policy == "base-stock"]
    assert all(np.diff([point.fill_rate for point in family]) >= 0)
    assert all(np.diff([point.average_stock for point in family]) >= 0)
    assert family[-1].average_stock > family[0].average_stock


def test_the_section_tells_what_hindsight_would_have_chosen(result, points):
    section = frontier_section(result, points, 0)
    assert "hindsight" in section.text
    figure, chosen, every = section.blocks
    assert len(every.rows) == len(points)
    for row in chosen.rows:
        family = [point.profit for point in points if point.policy == row[0]]
        assert row[6] == max(family)
        assert row[7] == pytest.approx(row[6] - row[3])
        assert row[7] >= 0
    assert "Hindsight" in figure.caption
    for name in ("base-stock", "DirectBackprop", "clairvoyant"):
        assert f">{name}<" in figure.svg


def test_losses_are_drawn_too(result, points):
    losses = [replace(point, profit=point.profit - 1e7) for point in points]
    assert "clairvoyant" in frontier_figure(result, losses).svg
    nothing = [replace(point, profit=0.0, fill_rate=1.0) for point in points]
    assert "clairvoyant" in frontier_figure(result, nothing).svg
