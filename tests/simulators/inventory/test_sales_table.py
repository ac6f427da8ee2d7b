import bz2
import gzip
import lzma
import sys
import zipfile
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.inventory.sales_file import read_sales

# two whole weeks from Monday 3 January 2011
TWO_WEEKS = "sku,date,units\n00123,2011-01-03,4\n9,2011-01-05,1\n9,2011-01-09,2\n00123,2011-01-16,6\n"
BASE = ("a,2011-01-03,4", "a,2011-01-09,1")


def rows(*lines, header="sku,date,units"):
    return "\n".join([header, *lines]) + "\n"


def equal(one, other, but=("repairs", "source")):
    for field in fields(one):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def test_column_names_ignore_case_and_spaces_and_other_columns_are_ignored(sales):
    text = "remark, Date ,UNITS, Sku\nx,2011-01-03,4,00123\n,2011-01-05,1,9\n,2011-01-09,2,9\n,2011-01-16,6,00123\n"
    equal(sales(text), sales(TWO_WEEKS))


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("s.csv.gz", gzip.compress),
        ("s.csv.bz2", bz2.compress),
        ("s.csv.xz", lzma.compress),
        ("s.CSV.GZ", gzip.compress),
    ],
)
def test_compressed_files_read_the_same(sales, name, compress):
    equal(sales(compress(TWO_WEEKS.encode()), name), sales(TWO_WEEKS))


def test_zip_archive_of_one_file_reads_the_same_and_of_two_is_refused(sales, tmp_path):
    path = tmp_path / "sales.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.csv", TWO_WEEKS)
    equal(read_sales(path), sales(TWO_WEEKS))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.csv", TWO_WEEKS)
    with pytest.raises(InputError, match="the archive holds 2 files; it must hold one"):
        read_sales(path)


def test_byte_order_mark_and_windows_line_ends_are_fine(sales):
    equal(sales(b"\xef\xbb\xbf" + TWO_WEEKS.replace("\n", "\r\n").encode()), sales(TWO_WEEKS))


def test_parquet_reads_as_csv_does(sales, tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    text = rows(
        "00123,2011-01-03,4,1.5,1", "9,2011-01-09,2,,0", "9,2011-01-16,3,2,1", header="SKU,Date,units,price,in_stock"
    )
    (tmp_path / "sales.csv").write_text(text)
    table = pd.read_csv(tmp_path / "sales.csv", dtype={"SKU": str})
    expected = read_sales(tmp_path / "sales.csv")
    for dates in (
        table["Date"],
        pd.to_datetime(table["Date"]),
        pd.to_datetime(table["Date"]).dt.date,
        pd.to_datetime(table["Date"]).dt.tz_localize("Asia/Tokyo"),
        table["Date"].astype("category"),
    ):
        table.assign(Date=dates, in_stock=table["in_stock"] == 1).to_parquet(tmp_path / "sales.parquet")
        equal(read_sales(tmp_path / "sales.parquet"), expected)


def test_integer_skus_of_a_parquet_file_become_text(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    table = pd.DataFrame({"sku": [10, 9], "date": ["2011-01-03", "2011-01-16"], "units": [1, 2]})
    table.to_parquet(tmp_path / "sales.parquet")
    assert read_sales(tmp_path / "sales.parquet").skus == ("10", "9")
    table.assign(sku=[1.5, 2.0]).to_parquet(tmp_path / "sales.parquet")
    with pytest.raises(InputError, match="column sku holds float64 values; store it as text"):
        read_sales(tmp_path / "sales.parquet")


def test_parquet_errors_name_the_row_counted_from_one(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    path = tmp_path / "sales.parquet"
    pd.DataFrame({"sku": ["a", "a"], "date": ["2011-01-03", "x"], "units": [1, 2]}).to_parquet(path)
    with pytest.raises(InputError, match="row 2, column date: 'x' is not a date"):
        read_sales(path)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_sales(path)


def test_parquet_without_pyarrow_names_the_extra(sales, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r"sales\.parquet: reading Parquet needs an optional dependency: .*sandtable\[parquet\]"
    ):
        sales(b"PAR1", "sales.parquet")


@pytest.mark.parametrize(
    ("header", "blame"),
    [
        ("sku,date,quantity", "column units is missing; found sku, date, quantity; rename quantity to units"),
        (
            "StockCode,InvoiceDate,Qty",
            "columns sku, date, units are missing; found stockcode, invoicedate, qty; "
            "rename stockcode to sku, rename invoicedate to date, rename qty to units",
        ),
        ("sku,dates,units", "column date is missing; found sku, dates, units; rename dates to date"),
        ("sku,,units", "column date is missing; found sku, (blank), units"),
        ("sku,date,units,Units", "column units is there 2 times; keep one"),
        ("sku;date;units", "the columns are separated by semicolons; save the file with commas"),
        ("sku\tdate\tunits", "the columns are separated by tabs; save the file with commas"),
        ("sku|date|units", "the columns are separated by vertical bars; save the file with commas"),
        ("a,2011-01-03,4", "columns sku, date, units are missing; found a, 2011-01-03, 4"),
    ],
)
def test_bad_header_is_refused_with_advice(refusal, header, blame):
    assert (
        refusal(rows(*(["a,2011-01-03,4,1"] if header.count(",") == 3 else BASE), header=header))
        == f"sales.csv: {blame}"
    )


@pytest.mark.parametrize(
    "names", [[f"W{i}" for i in range(52)], [f"2011-{i:02d}-01" for i in range(1, 13)], [f"d_{i}" for i in range(1, 9)]]
)
def test_wide_format_is_refused_by_name(refusal, names):
    message = refusal(rows("a," + ",".join("1" for _ in names), header="sku," + ",".join(names)))
    assert message == (
        f"sales.csv: one column for each period ({names[0].lower()} .. {names[-1].lower()}) is the wide format; "
        "the long format is needed: columns sku, date, units and one row for each product and period"
    )


@pytest.mark.parametrize(
    ("content", "name", "blame"),
    [
        (b"", "sales.csv", ": the file is empty"),
        (b"", "sales.parquet", ": the file is empty"),
        (b" \n\n", "sales.csv", ": the file is empty"),
        (gzip.compress(b"", mtime=0), "sales.csv.gz", ": the file is empty"),
        (b"sku,date,units\n", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units\n\n,,\n", "sales.csv", ": the file has a header and no rows"),
        (b"sku,date,units\na,2011-01-03,\nb,2011-01-16,\n", "sales.csv", ": no row has units"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "sales.csv", ": the file is binary, not CSV text"),
        (b"PAR1\x15\x04", "sales.csv", ": the file is a Parquet file; name it .parquet"),
        (gzip.compress(TWO_WEEKS.encode(), mtime=0), "sales.csv", ": the file is compressed; name it .gz"),
        (TWO_WEEKS.encode("utf-16"), "sales.csv", ": the file is UTF-16 text; save it as CSV UTF-8"),
        (
            b"PK\x03\x04\x14\x00",
            "sales.xlsx",
            ": the file is a workbook or a zip archive; export the sheet as CSV, or name the archive .zip",
        ),
        (
            b"sku,date,units\na,2011-01-03,4\ncaf\xe9,2011-01-16,1\n",
            "sales.csv",
            ", row 3: the text is not UTF-8; save the file as CSV UTF-8",
        ),
        (
            b"sku,date,units\na,2011-01-03,1,234\n",
            "sales.csv",
            ", row 2: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b"sku,date,units\na,2011-01-03,4\n\na,2011-01-16,1,234\n",
            "sales.csv",
            ", row 4: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b"sku,date,units\n\na,2011-01-16,1,234\n",
            "sales.csv",
            ", row 3: 4 values where the header names 3 columns; a comma inside a value needs quotes around it",
        ),
        (
            b'sku,date,units\na,2011-01-03,4\n"a,2011-01-16,1\n',
            "sales.csv",
            ", row 3: a quotation mark is opened and never closed",
        ),
    ],
)
def test_file_that_is_no_table_is_refused(refusal, content, name, blame):
    assert refusal(content, name) == f"{name}{blame}"


@pytest.mark.parametrize("name", ["sales.csv.gz", "sales.csv.bz2", "sales.csv.xz", "sales.zip"])
def test_file_that_does_not_decompress_is_refused(refusal, name):
    assert refusal(TWO_WEEKS, name).startswith(f"{name}: the file cannot be read or decompressed (")


def test_truncated_archive_is_refused(refusal):
    half = gzip.compress(TWO_WEEKS.encode() * 20)[:-12]
    assert refusal(half, "sales.csv.gz").startswith("sales.csv.gz: the file cannot be read or decompressed (")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: there is no such file"):
        read_sales(tmp_path / "none.csv")
    with pytest.raises(InputError, match="this is a folder; name a CSV or Parquet file"):
        read_sales(tmp_path)
