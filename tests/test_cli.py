"""What a user types, and what comes of it: files and documents, or one line that says what to do."""

import contextlib
import csv
import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sandtable.analysis import store
from sandtable.cli import main

SANDTABLE = [sys.executable, "-m", "sandtable.cli"]
FAST = ["--learn", "0", "--no-sensitivity"]
ROW = {
    "policy", "split", "profit", "profit_low", "profit_high", "difference", "difference_low", "difference_high",
    "fill_rate", "stock_out_rate", "stock_turns", "units_sold", "units_lost",
}  # fmt: skip


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: str) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def sales_rows(products: int = 3, weeks: int = 40) -> list[str]:
    """Weekly sales of a few products, names with leading zeros, in a file's order."""
    generator, start = np.random.default_rng(0), np.datetime64("2024-01-01")
    return [f"0012{i},{start + 7 * t},{generator.poisson(5)}" for i in range(products) for t in range(weeks)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def write(name: str, rows: list[str], header: str = "sku,date,units") -> str:
    Path(name).write_text("\n".join([header, *rows]) + "\n")
    return name


def refused(*arguments: str) -> str:
    """Return the one line with which a command refuses its input, after making sure that it left nothing behind."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if "__pycache__" not in path.parts}
    said = sandtable(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("sandtable: ")
    assert said.err.endswith("\n")
    assert said.err.count("\n") == 1
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if "__pycache__" not in path.parts}
    assert after == before
    return said.err.removeprefix("sandtable: ").strip()


def with_column(name: str, value: str, rows: list[str] | None = None) -> tuple[list[str], str]:
    return [f"{row},{value}" for row in rows or sales_rows()], f"sku,date,units,{name}"


AMBIGUOUS = [f"a,0{1 + i % 9}/0{1 + i // 9}/2024,1" for i in range(40)]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (sales_rows(), "sku,date,quantity", "column units is missing; found sku, date, quantity; rename quantity to"),
        (["a,3"], "sku,units", "column date is missing"),
        ([*sales_rows(), "a,2024-13-45,1"], None, "row 122, column date: '2024-13-45' is not a date; write it as"),
        (AMBIGUOUS, None, "may be read with the day or the month first, and no row of the file settles it; pass --"),
        ([*sales_rows(), "a,2024-03-05,many"], None, "row 122, column units: 'many' is not a number"),
        ([*sales_rows(), "a,2024-03-05,inf"], None, "row 122, column units: 'inf'"),
        ([], None, "the file has a header and no rows"),
        (sales_rows(weeks=7), None, "test periods are too few for a lead time of 2"),
        (sales_rows(weeks=1), None, "two are needed"),
        (*with_column("lead_time", "-2"), "column lead_time: '-2' is negative"),
        (*with_column("minimum_order,capacity", "50,10"), "column minimum_order: '50' is above the capacity 10"),
        ([row.rsplit(",", 1)[0] + ",0" for row in sales_rows()], None, "no product has sales"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_file_place_and_remedy(folder, rows, header, said):
    write("sales.csv", rows, header or "sku,date,units")
    line = refused("backtest", "sales.csv", *FAST)
    assert line.startswith("sales.csv") or "test periods" in line
    assert said in line


def test_a_file_that_cannot_be_read_is_refused(folder):
    Path("empty.csv").write_bytes(b"")
    Path("latin.csv").write_bytes("sku,date,units\ncaf\xe9,2024-01-01,3\n".encode("latin-1"))
    assert refused("backtest", "absent.csv") == "absent.csv: there is no such file"
    assert refused("backtest", ".") == ".: this is a folder; name a CSV or Parquet file"
    assert refused("backtest", "empty.csv") == "empty.csv: the file is empty"
    assert refused("backtest", "latin.csv") == "latin.csv, row 2: the text is not UTF-8; save the file as CSV UTF-8"
    assert refused("data", "check", "absent.csv") == "absent.csv: there is no such file"
    Path("empty").mkdir()
    assert refused("data", "check", "empty") == "empty: the folder is empty"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--margin 2", "--margin: 2.0 is not in [0, 1)"),
        ("--margin nan", "--margin: nan is not in [0, 1)"),
        ("--holding-rate -1", "--holding-rate: -1.0 is negative or not finite"),
        ("--holding-rate nan", "--holding-rate: nan is negative or not finite"),
        ("--shortage-cost -0.5", "--shortage-cost: -0.5 is negative or not finite"),
        ("--discount 1.5", "--discount: 1.5 is not in (0, 1]"),
        ("--discount nan", "--discount: nan is not in (0, 1]"),
        ("--test-periods 1000", "0 for training after 1000 of test and 6 of validation; lower --test-periods"),
        ("--test-periods -4", "-4 test periods are too few"),
        ("--lead-time 2.5", "Error parsing --lead-time: invalid literal for int() with base 10: '2.5'"),
        ("--lead-time -1", "--lead-time: -1 is not a whole number of review periods, at least 0"),
        ("--lead-time 60", "lead time of 60 review periods is longer than the history of 40; give a shorter one"),
        ("--lead-time 20", "11 test periods are too few for a lead time of 20: at least 24 are needed"),
        ("--review-period fortnight", "review period 'fortnight' is not known; use D, W"),
        ("--initial-stock lots", "--initial-stock lots: write base-stock, recorded, or a number"),
        ("--unseen 1", "--unseen: 1.0 is not in [0, 0.9]"),
        ("--alpha 0", "--alpha: 0.0 is not in (0, 1)"),
        ("--learn -3", "--learn must not be negative"),
        ("--seed -1", "--seed: -1 is negative"),
        ("--min-sale-days 1000", "no product has sales on 1000 dates"),
        ("--marginn 0.3", "Unrecognized options: --marginn, 0.3"),
        ("--policy nosuchmodule:order", "--policy nosuchmodule:order: there is no module nosuchmodule"),
        ("--policy own:absent", "--policy own:absent: own has no function absent"),
        ("--policy own", "--policy own: write it as module:function"),
        ("--policy own:nan", "own:nan, period 1 of 6: it returned nan for product 00120"),
        (
            "--policy own:shape",
            "own:shape, period 1 of 6: it returned shape [2]; return units to order, of shape [3, 1]",
        ),
        ("--policy own:fall", "own:fall, period 1 of 6: it raised KeyError: 'forecast'"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(folder, options, said):
    write("sales.csv", sales_rows())
    Path("own.py").write_text(
        "import numpy as np\n"
        "def nan(seen): return seen['on_hand'] * np.nan\n"
        "def shape(seen): return np.ones(2)\n"
        "def fall(seen): return seen['forecast']\n"
    )
    sys.modules.pop("own", None)
    assert said in refused("backtest", "sales.csv", *FAST, "--unseen", "0", *options.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "Missing subcommand"),
        ("backtets", "Unrecognized options: backtets"),
        ("describe", "Missing from sandtable describe"),
        ("describe retail-backtst", "no study is called 'retail-backtst'; did you mean retail-backtest?"),
        ("run nosuchstudy", "no study is called 'nosuchstudy'"),
        ("claims nosuchstudy", "no study is called 'nosuchstudy'"),
        ("report nosuchstudy", "no study is called 'nosuchstudy'"),
        ("run retail-backtest --budget huge", "'huge'"),
        ("run retail-backtest --jobs 0", "--jobs: 0 is less than 1"),
        ("data chek sales.csv", "Unrecognized options: chek"),
        ("backtest --runs", "Missing value for argument '--runs'"),
    ],
)
def test_a_command_that_is_not_there_is_refused(folder, arguments, said):
    line = refused(*arguments.split())
    assert said in line
    assert "see sandtable" in line or "study" in line or "--jobs" in line


@pytest.mark.parametrize("command", ["backtest", "run retail-backtest", "claims", "report retail-backtest"])
def test_a_folder_of_runs_that_is_none_is_refused(folder, command):
    Path("file").write_text("")
    line = refused(*command.split(), "--runs", "file")
    assert line.startswith("--runs file: ")
    assert line.endswith("is a file; name a folder")
    assert "file is a file" in refused(*command.split(), "--runs", "file/below/it")


def test_a_folder_of_runs_that_cannot_be_written_to_is_refused(folder, monkeypatch):
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    assert refused("backtest", "--runs", "locked/runs").endswith("locked cannot be written to; name another folder")


def test_verbose_shows_where_the_error_arose(folder):
    said = sandtable("backtest", "absent.csv", "--verbose")
    assert said.code == 2
    assert said.err.startswith("Traceback (most recent call last):")
    assert said.err.endswith("sandtable: absent.csv: there is no such file\n")


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        pytest.param(sales_rows() + sales_rows()[:3], None, id="duplicate rows"),
        pytest.param([*sales_rows(), "00121,2024-03-05,"], None, id="a row without units"),
        pytest.param([*sales_rows(), "00121,2024-03-05,-3"], None, id="a return"),
        pytest.param(
            [f"{row},{0 if i == 7 else 2.5}" for i, row in enumerate(sales_rows())], "price", id="a zero price"
        ),
        pytest.param([*sales_rows(), "lonely,2024-05-06,4"], None, id="a product with one row"),
        pytest.param([row for row in sales_rows() if not "2024-04" < row.split(",")[1] < "2024-06"], None, id="a gap"),
        pytest.param(sales_rows(1), None, id="one product"),
    ],
)
def test_a_file_with_a_blemish_is_replayed_and_the_repair_is_told(folder, rows, header):
    write("sales.csv", rows, "sku,date,units" + (f",{header}" if header else ""))
    said = sandtable("backtest", "sales.csv", *FAST, "--json")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    products = len({row.split(",")[0] for row in rows})
    assert document["panel"]["products"] == products
    told = json.loads(sandtable("data", "check", "sales.csv", "--json").out)
    assert document["panel"]["repairs"].items() >= told["repairs"].items()
    if rows[-1].startswith(("00120", "00121,2024-03-05")) and len(rows) > 120:
        assert sum(told["repairs"].values()) >= 1
    if products == 1:
        assert all(row["profit_low"] is None and row["difference_high"] is None for row in document["policies"])


def test_a_backtest_prints_one_json_document_and_writes_its_files(folder):
    write("sales.csv", sales_rows(12, 60))
    said = sandtable("backtest", "sales.csv", *FAST, "--json", "--runs", "kept")
    assert (said.code, said.err) == (0, "")
    document = json.loads(said.out)
    assert list(document) == ["report", "baseline", "panel", "policies"]
    assert set(document["panel"]) == {"products", "periods", "start", "end", "repairs"}
    assert all(set(row) == ROW for row in document["policies"])
    report = Path(document["report"])
    assert report.is_relative_to("kept/backtest")
    names = {path.name for path in report.parent.iterdir()}
    assert names == {
        "config.json", "provenance.json", "result.json", "results.json", "results.csv", "orders.csv", "report.html",
    }  # fmt: skip
    assert json.loads((report.parent / "results.json").read_text())["policies"] == document["policies"]
    with open(report.parent / "orders.csv", newline="") as file:
        assert [row["sku"] for row in csv.DictReader(file)][:3] == ["00120", "00121", "001210"]


def test_a_backtest_that_was_done_is_not_done_again(folder):
    write("sales.csv", sales_rows())
    first = sandtable("backtest", "sales.csv", *FAST)
    written = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}
    again = sandtable("backtest", "sales.csv", *FAST)
    assert again.out.startswith("this backtest was done before: runs/backtest/")
    assert again.out.endswith(first.out)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")} == written
    write("sales.csv", [*sales_rows()[:-1], "00122,2024-09-30,77"])
    assert "done before" not in sandtable("backtest", "sales.csv", *FAST).out


def test_the_table_ends_with_the_answer_and_the_files(folder):
    write("sales.csv", sales_rows(8, 60))
    lines = sandtable("backtest", "sales.csv", *FAST).out.splitlines()
    assert lines[-1].startswith("report: runs/backtest/")
    assert lines[-2].startswith("orders: runs/backtest/")
    assert lines[-4].startswith("Over 17 weeks of test")
    assert Path(lines[-1].removeprefix("report: ")).exists()


def test_what_a_policy_prints_does_not_mix_with_the_document(folder):
    write("sales.csv", sales_rows())
    Path("chatty.py").write_text("def order(seen):\n    print('ordering')\n    return seen['mean']\n")
    sys.modules.pop("chatty", None)
    said = sandtable("backtest", "sales.csv", *FAST, "--policy", "chatty:order", "--json")
    assert "chatty:order" in {row["policy"] for row in json.loads(said.out)["policies"]}
    assert set(said.err.split()) == {"ordering"}


def test_one_update_is_enough_to_run(folder):
    write("sales.csv", sales_rows())
    said = sandtable("backtest", "sales.csv", "--learn", "1", "--seeds", "1", "--no-sensitivity", "--json")
    assert (said.code, said.err) == (0, "")
    assert {"DirectBackprop", "untrained network"} <= {row["policy"] for row in json.loads(said.out)["policies"]}


def test_with_one_product_no_interval_is_shown(folder):
    write("sales.csv", sales_rows(1))
    said = sandtable("backtest", "sales.csv", *FAST).out
    assert "[" not in said
    assert "nan" not in said
    assert "how sure that is cannot be told" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["describe", "retail-backtest"],
        ["describe", "sandtable/LostSales-v0"],
        ["claims", "--runs", "none"],
        ["data", "check", "sales.csv"],
        ["data", "describe", "sales.csv"],
    ],
)
def test_json_is_one_document_and_nothing_else(folder, arguments):
    write("sales.csv", sales_rows())
    said = sandtable(*arguments, "--json")
    assert (said.code, said.err) == (0, "")
    json.loads(said.out)
    assert said.out.count("\n") == 1
    assert sandtable(*arguments).out != said.out


def test_the_documents_that_others_build_on_have_their_shapes(folder):
    (study,) = (one for one in json.loads(sandtable("list", "--json").out) if one["name"] == "retail-backtest")
    assert set(study) == {"name", "title", "paper"}
    rows = json.loads(sandtable("claims", "--json").out)
    assert {
        "study", "statement", "source", "paper_value", "tolerance", "observed", "budget", "status",
    } <= set(rows[0])  # fmt: skip
    assert {row["status"] for row in rows} == {"not run"}
    document = json.loads(sandtable("describe", "retail-backtest", "--json").out)
    assert set(document["grid"]) == {"smoke", "cpu", "gpu"}
    assert len(document["claims"]) == 10


def test_the_settings_have_defaults_that_help_prints():
    help_text = sandtable("backtest", "--help").out
    defaults = {
        "--review-period": "W", "--lead-time": "2", "--margin": "0.4", "--holding-rate": "0.25",
        "--shortage-cost": "0.0", "--discount": "1.0", "--initial-stock": "base-stock", "--test-periods": "0",
    }  # fmt: skip
    words = " ".join(help_text.replace("│", " ").split())
    for option, default in defaults.items():
        _, _, after = words.partition(f" {option} ")
        assert f"(default: {default})" in after.split(" --")[0]


def test_a_disk_that_fills_up_leaves_no_half_written_file(folder, monkeypatch):
    write("sales.csv", sales_rows())

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    said = sandtable("backtest", "sales.csv", *FAST)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "the disk is full, so this file was not written; free some space and run the same command again" in said.err
    assert [path for path in Path("runs").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_file_that_grows_too_large_while_learning_leaves_no_half_written_file(folder):
    """The limit on the size of files stops the checkpoint as a full disk would."""
    write("sales.csv", sales_rows())

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [*SANDTABLE, "backtest", "sales.csv", "--learn", "2", "--no-sensitivity"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=300)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the disk is full" in done.stderr
    assert done.stdout == ""
    (folder,) = Path("runs/backtest").iterdir()
    assert not (folder / "result.json").exists()
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0
    assert len(json.loads(again.stdout)["policies"]) > 5


def test_help_is_cut_off_in_silence_and_imports_nothing_heavy():
    loaded = "import sys; from sandtable.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    reading, writing = os.pipe()
    os.close(reading)  # nobody reads: as with head after its first line
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run([sys.executable, "-c", loaded], stdout=nobody, stderr=subprocess.PIPE, text=True)
    (modules,) = done.stderr.splitlines()
    for heavy in ("torch", "pandas", "statsmodels", "scipy", "matplotlib", "jinja2"):
        assert f"'{heavy}'" not in modules


def test_a_reader_that_goes_away_is_no_error_to_speak_of(folder):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run([*SANDTABLE, "list"], stdout=nobody, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def learning(*arguments: str) -> list[str]:
    return [*SANDTABLE, "backtest", "sales.csv", "--learn", "60", "--seeds", "1", "--no-sensitivity", *arguments]


@pytest.mark.slow
def test_an_interrupted_backtest_goes_on_to_the_same_results(folder):
    write("sales.csv", sales_rows(6, 60))
    process = subprocess.Popen(learning("--runs", "cut"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(Path("cut").glob("backtest/*/checkpoint/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert err == "sandtable: interrupted; the same command goes on where it stopped\n"
    assert not list(Path("cut").rglob("result*.json"))

    resumed = subprocess.run(learning("--runs", "cut", "--json"), capture_output=True, text=True, check=True)
    whole = subprocess.run(learning("--runs", "whole", "--json"), capture_output=True, text=True, check=True)
    one, other = json.loads(resumed.stdout), json.loads(whole.stdout)
    first, second = (Path(document["report"]).parent for document in (one, other))
    for name in ("results.json", "results.csv", "orders.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert len(json.loads((first / "provenance.json").read_text())) == 2
