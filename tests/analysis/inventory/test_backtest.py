"""The backtest as a whole: one world for all policies, and the files it leaves behind."""

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandtable.analysis.inventory.backtest import Backtest, Hooks, backtest, learn, play
from sandtable.analysis.inventory.backtest_report import against_baseline, answer, periods_name
from sandtable.analysis.inventory.next_orders import next_orders, position_now
from sandtable.analysis.inventory.participants import (
    CLAIRVOYANT,
    LEARNED,
    UNTRAINED,
    classical_participants,
    learned_participants,
)
from sandtable.analysis.inventory.plan import plan_backtest
from sandtable.analysis.inventory.run_backtest import identity, run_backtest
from sandtable.analysis.inventory.sensitivity import sensitivity
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.analysis.store import Run, RunStore
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

EXOGENOUS = ("past_demand", "demand_known", "price", "cost", "calendar", "mean", "deviation", "lead_time", "period")
SETTINGS = BacktestSettings(learn=40, seeds=2, unseen=0.3)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """The folder of a finished backtest of the embedded panel."""
    run = RunStore(tmp_path_factory.mktemp("runs")).run("backtest", asdict(SETTINGS))
    run.finish(run_backtest(run, synthetic_sales(60, 104), SETTINGS))
    return run


@pytest.fixture(scope="module")
def result() -> Backtest:
    return backtest(synthetic_sales(16, 60), replace(SETTINGS, learn=4))


def test_every_policy_sees_the_same_world(small_history, quick):
    plan = plan_backtest(small_history, quick)
    participants = classical_participants(plan) | learned_participants(learn(plan, Hooks()), plan)
    digests = {}

    def watched(name: str, build: Callable[..., Any]) -> Callable[..., Any]:
        def build_watched(panel, history):
            policy, digest = build(panel, history), digests.setdefault(name, hashlib.sha256())

            def act(observation):
                for field in EXOGENOUS:
                    digest.update(np.ascontiguousarray(observation[field]).tobytes())
                return policy(observation)

            return act

        return build_watched

    watching = {name: replace(one, build=watched(name, one.build)) for name, one in participants.items()}
    trajectories, _ = play(plan, watching)
    assert len(digests) == len(participants) >= 8
    assert len({digest.hexdigest() for digest in digests.values()}) == 1
    orders = {trajectories[name]["ordered"].tobytes() for name in trajectories}
    assert len(orders) > 5  # and yet they did different things


def test_every_run_has_the_same_customers(result):
    for trajectory in result.trajectories.values():
        assert (trajectory["demand"] == result.panel.demand[result.split.validate :]).all()


def test_the_world_has_another_name_when_it_is_another(result):
    units = synthetic_sales(16, 60)
    units = replace(units, units=np.where(np.arange(60)[:, None] == 59, units.units + 1, units.units))
    assert backtest(units, replace(SETTINGS, learn=0)).world != result.world
    assert backtest(synthetic_sales(16, 60), replace(SETTINGS, learn=0)).world == result.world


def test_the_baseline_is_the_classical_policy_that_earned_most_in_validation(result):
    classical = {name: one.validation for name, one in result.participants.items() if one.kind == "classical"}
    assert result.baseline == max(classical, key=classical.get)
    row = result.row(result.baseline, "test")
    assert (row.difference, row.difference_low, row.difference_high) == (0.0, 0.0, 0.0)


def test_the_best_policy_is_one_that_a_business_could_follow(result):
    assert result.best in result.implementable
    assert CLAIRVOYANT not in result.implementable
    assert UNTRAINED not in result.implementable


def test_no_policy_earns_more_than_the_clairvoyant_on_any_product(result):
    bound = result.scoring.profit(result.trajectories[CLAIRVOYANT]).sum(axis=0)
    for trajectory in result.trajectories.values():
        assert (result.scoring.profit(trajectory).sum(axis=0) <= bound + 1e-6).all()


def test_a_difference_that_rounding_makes_is_none(make_history, quick):
    """With free stock several policies sell all that is asked for, and earn the same."""
    generator = np.random.default_rng(19)
    units = generator.poisson(5, (40, 3))
    history = make_history(units, price=np.tile(generator.uniform(1, 9, 3), (40, 1)))
    result = backtest(history, replace(quick, learn=0, unseen=0.2, holding_rate=0.0))
    totals = {name: result.scoring.profit(result.trajectories[name]).sum() for name in result.implementable}
    assert 0 < max(totals.values()) - totals[result.baseline] < 1e-9
    assert result.best == result.baseline


def test_a_policy_that_knows_no_order_rules_is_named_an_upper_bound(result):
    assert (result.panel.rules.batch_size > 1).any()
    assert "an upper bound that may be out of reach" in result.participants[CLAIRVOYANT].rule


def test_users_policies_are_played_before_the_long_training(small_history, quick, tmp_path, monkeypatch):
    """A policy that is refused in the last period is refused before the training, and before anything is written."""
    (tmp_path / "late_nan_rules.py").write_text(
        "import numpy as np\ndef order(observation):\n    return np.where(observation['period'] >= 59, np.nan, 1.0)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    told = []
    hooks = Hooks(progress=lambda *step: told.append("trained"), usable=lambda: told.append("usable"))
    with pytest.raises(InputError, match=r"late_nan_rules:order, period 17 of 17: it returned nan for product S000000"):
        backtest(small_history, replace(quick, policy="late_nan_rules:order"), hooks)
    assert told == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"discount": 1.5}, "--discount: 1.5"),
        ({"discount": 0.0}, "--discount: 0.0"),
        ({"alpha": 1.0}, "--alpha: 1.0"),
        ({"learn": -1}, "--learn must not be negative"),
        ({"seeds": 0}, "--seeds be at least 1"),
        ({"margin": 2.0}, "--margin: 2.0"),
        ({"margin": float("nan")}, "--margin: nan"),
        ({"holding_rate": -1.0}, "--holding-rate: -1.0"),
        ({"shortage_cost": float("inf")}, "--shortage-cost: inf"),
        ({"lead_time": -1}, "--lead-time: -1"),
        ({"pay_on": "sold"}, "--pay-on: 'sold'"),
        ({"unmet": "angry"}, "--unmet: 'angry'"),
        ({"initial_stock": "some"}, "--initial-stock some: write base-stock, recorded, or a number"),
        ({"initial_stock": "-2"}, "--initial-stock -2"),
        ({"initial_stock": "nan"}, "--initial-stock nan"),
        ({"initial_stock": "recorded"}, "--initial-stock recorded: the sales file tells no stock"),
        ({"test_periods": 1000}, "leave 0 for training after 1000 of test"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_options_name(make_history, changes, said):
    with pytest.raises(InputError) as refusal:
        plan_backtest(make_history(np.ones((60, 3))), replace(BacktestSettings(), **changes))
    assert said in str(refusal.value)


def test_what_the_file_gives_wins_over_the_assumptions(make_history, quick):
    tables = {
        "price": np.full((60, 2), 8.0),
        "cost": np.full((60, 2), 3.0),
        "on_hand": np.full((60, 2), 11.0),
        "on_order": np.full((60, 2), 4.0),
    }
    rows = {
        "lead_time": np.array([1.0, np.nan]),
        "minimum_order": np.array([5.0, np.nan]),
        "batch_size": np.array([6.0, np.nan]),
    }
    assumed = replace(quick, margin=0.9, lead_time=2, minimum_order=2.0, batch_size=4.0, initial_stock="7")
    plan = plan_backtest(make_history(np.ones((60, 2)), **tables, **rows), assumed)
    assert (plan.panel.cost == 3.0).all()
    assert plan.panel.lead_time.tolist() == [1.0, 2.0]
    assert plan.panel.rules.batch_size.tolist() == [6.0, 4.0]
    assert plan.panel.rules.minimum_order.tolist() == [6.0, 4.0]  # in whole batches
    assert plan.initial_stock == "recorded"


def test_the_summary_has_the_documented_shape(run):
    summary = run.result()
    assert list(summary) == ["report", "answer", "baseline", "best", "panel", "policies"]
    assert list(summary["panel"]) == ["products", "periods", "start", "end", "repairs"]
    assert summary["panel"] == {
        "products": 60, "periods": 104, "start": "2023-01-02", "end": "2024-12-23", "repairs": {},
    }  # fmt: skip
    names = [
        "policy", "split", "profit", "profit_low", "profit_high", "difference", "difference_low", "difference_high",
        "fill_rate", "stock_out_rate", "stock_turns", "units_sold", "units_lost",
    ]  # fmt: skip
    assert all(list(row) == names for row in summary["policies"])
    assert {row["split"] for row in summary["policies"]} == {"test", "unseen"}
    policies = {row["policy"] for row in summary["policies"]}
    assert {"order nothing", "newsvendor", "base-stock", LEARNED, UNTRAINED, CLAIRVOYANT} <= policies
    assert len(summary["policies"]) == 2 * len(policies)
    assert all(0 <= row["fill_rate"] <= 1 and 0 <= row["stock_out_rate"] <= 1 for row in summary["policies"])
    assert all(row["profit_low"] <= row["profit"] <= row["profit_high"] for row in summary["policies"])


def test_results_csv_and_results_json_agree(run):
    document = json.loads((run.folder / "results.json").read_text())
    with open(run.folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["policies"])
    for row, told in zip(rows, document["policies"], strict=True):
        assert (row["policy"], row["split"]) == (told["policy"], told["split"])
        for name in set(told) - {"policy", "split"}:
            assert float(row[name]) == told[name]
    assert {name: document[name] for name in run.result()} == run.result()


def test_orders_csv_tells_the_next_order_of_every_product(run):
    with open(run.folder / "orders.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sku"] for row in rows] == [f"S{i:06d}" for i in range(60)]
    best = run.result()["best"]
    for row in rows:
        assert float(row["order"]) >= 0
        assert float(row["on_hand"]) >= 0
        assert float(row["on_order"]) >= 0
        assert float(row["expected_demand"]) >= 0
        assert float(row["lead_time"]) in (1, 2, 3, 4)
        assert (row["policy"], row["stock"]) == (best, "simulated")
        assert row["reason"].startswith(f"order {float(row['order']):,.0f}:" if float(row["order"]) else "no order:")
    assert sum(float(row["order"]) > 0 for row in rows) > 0


def test_the_next_order_starts_from_where_the_best_policy_left_the_stock(result):
    table, left = next_orders(result), result.trajectories[result.best]
    np.testing.assert_allclose(table["on_hand"], left["on_hand"][-1], atol=1e-6)
    np.testing.assert_allclose(table["on_order"], left["in_transit"][-1], atol=1e-6)


def test_what_is_on_order_arrives_when_it_would_have(result):
    stock, left = position_now(result).stock, result.trajectories[result.best]
    for product, lead_time in enumerate(result.panel.lead_time.astype(int)):
        under_way = left["supplied"][-lead_time:, product]  # the oldest arrives first
        np.testing.assert_allclose(stock.pipeline[:lead_time, product], under_way, atol=1e-9)
        assert (stock.pipeline[lead_time:, product] == 0).all()


def test_the_next_order_starts_from_the_recorded_stock_and_keeps_the_order_rules(make_history, quick):
    units = np.random.default_rng(0).poisson(6, (60, 4)).astype(float)
    stock = np.tile([3.0, 200.0, 3.0, np.nan], (60, 1))
    ordered = np.tile([2.0, 0.0, np.nan, np.nan], (60, 1))
    batch = np.array([1.0, 1.0, 8.0, 1.0])
    history = make_history(units, on_hand=stock, on_order=ordered, batch_size=batch)
    table = next_orders(backtest(history, replace(quick, learn=0)))
    assert table["stock"].tolist() == ["recorded", "recorded", "recorded", "simulated"]
    assert table["on_hand"].tolist()[:3] == [3.0, 200.0, 3.0]
    assert table["on_order"].tolist()[:3] == [2.0, 0.0, 0.0]
    assert table["order"][0] > 0
    assert table["order"][1] == 0
    assert table["order"][2] > 0
    assert table["order"][2] % 8 == 0
    np.testing.assert_allclose(table["expected_demand"], 3 * units[-16:].mean(axis=0), atol=0.01)


def test_directbackprop_earns_more_than_nothing_and_than_its_untrained_self_on_the_embedded_panel(run):
    for split in ("test", "unseen"):
        profit = {row["policy"]: row["profit"] for row in run.result()["policies"] if row["split"] == split}
        assert profit[LEARNED] > profit["order nothing"]
        assert profit[LEARNED] > profit[UNTRAINED]


def test_the_report_shows_what_was_learned(run):
    page = (run.folder / "report.html").read_text()
    assert "How DirectBackprop learned" in page
    assert "norm of the gradient" in page
    assert "In the test the trained network earned" in page
    assert run.result()["answer"] in page
    assert "Assumed, not measured: holding rate a year. " in page
    steps = [row["step"] for row in run.metrics() if "gradient_norm" in row]
    assert len(steps) > 5
    assert steps == sorted(steps)
    spent = sum([row["flops"] for row in run.metrics() if "flops" in row][-1])
    assert spent > 1e8
    assert "<dt>training flops</dt>" in page


def test_the_report_and_its_numbers_tell_what_service_costs(run):
    assert "What service costs" in (run.folder / "report.html").read_text()
    points = json.loads((run.folder / "results.json").read_text())["frontier"]
    chosen = {point["policy"]: point["profit"] for point in points if point["chosen"]}
    for row in json.loads((run.folder / "results.json").read_text())["policies"]:
        assert row["policy"] in chosen or row["policy"] in ("order nothing", UNTRAINED)


@pytest.mark.slow
def test_other_assumptions_are_tried_where_the_file_does_not_tell(make_history, quick):
    history = make_history(np.random.default_rng(0).poisson(6, (60, 6)))
    result = backtest(history, replace(quick, learn=0))
    rows = sensitivity(history, result)
    assert {(row["assumption"], row["value"]) for row in rows} == {
        ("as assumed", None), ("margin", 0.25), ("margin", 0.55), ("lead_time", 1), ("lead_time", 3),
        ("holding_rate", 0.125), ("holding_rate", 0.5),
    }  # fmt: skip
    first = rows[0]
    assert first["baseline"] == result.baseline
    assert first["difference"] == pytest.approx(against_baseline(result, first["policy"]).estimate)


def test_what_the_file_tells_is_not_moved(small_history, quick):
    rows = sensitivity(small_history, backtest(small_history, replace(quick, learn=0)))
    assert {row["assumption"] for row in rows} == {"as assumed", "holding_rate"}


def test_with_one_product_the_answer_says_that_it_cannot_tell_how_sure_it_is(make_history, quick):
    result = backtest(make_history(np.random.default_rng(0).poisson(6, (60, 1))), replace(quick, learn=0))
    assert answer(result).endswith("with one product, how sure that is cannot be told.")
    assert "nan" not in answer(result)


def test_the_answer_names_policy_amount_and_interval(result):
    rivals = len(result.implementable) - 1
    interval, table = against_baseline(result, result.best, rivals), against_baseline(result, result.best)
    assert interval.high - interval.low > table.high - table.low
    said = answer(result)
    if result.best != result.baseline:
        assert f"{result.best} would have earned {interval.estimate:,.0f}" in said
    assert f"than {result.baseline}" in said
    assert f"the 95% interval, widened for picking one of {rivals}, is" in said
    assert said.startswith("Over 17 weeks of test")


@pytest.mark.parametrize(
    ("alias", "name"), [("W-MON", "weeks"), ("D", "days"), ("MS", "months"), ("2W", "periods"), ("YS", "periods")]
)
def test_review_periods_have_a_name(alias, name):
    assert periods_name(alias) == name


def test_a_run_is_named_by_settings_and_the_contents_of_its_files(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    sales = tmp_path / "sales.csv"
    sales.write_text("sku,date,units\n")
    (tmp_path / "named_rules.py").write_text("def order(observation): return 0\n")
    settings = BacktestSettings(policy="named_rules:order")
    first = identity(sales, settings)
    assert first == identity(sales, settings)
    assert set(first["sha256"]) == {"sales.csv", "named_rules:order"}
    sales.write_text("sku,date,units\na,2024-01-01,1\n")
    assert identity(sales, settings) != first


@pytest.mark.slow
def test_the_same_backtest_gives_the_same_numbers_twice(tmp_path):
    history, settings = synthetic_sales(6, 60), replace(SETTINGS, learn=4, sensitivity=False)
    texts = []
    for name in ("first", "second"):
        run = Run(Path(tmp_path / name), {}, 1)
        run_backtest(run, history, settings)
        texts.append([(run.folder / file).read_bytes() for file in ("results.json", "results.csv", "orders.csv")])
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_the_report_opens_in_a_browser_draws_its_figures_and_sorts_its_tables(run, open_in_browser):
    page = open_in_browser(run.folder / "report.html")
    assert page.errors == []
    assert page.requests == []
    assert len(page.figures) >= 5
    assert all(width > 200 and height > 50 for width, height in page.figures)
    before = page.column(0, 0)
    page.click("table thead th:nth-child(1) button")
    after = page.column(0, 0)
    assert sorted(after) == sorted(before)
    assert after == sorted(before, key=str.lower) or after == sorted(before, key=str.lower, reverse=True)
    assert after != before
    phone = open_in_browser(run.folder / "report.html", width=390, height=800)
    assert phone.errors == []
    assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
