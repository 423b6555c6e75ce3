"""Exports: every format gives the rows back; the workbook has a sheet a table."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import report_samples as samples

from loyalty_exp.report.exports import export, sheets

RESULTS = [samples.good(), samples.empty()]
ROWS = [row for result in RESULTS for row in result.to_dicts()]


def test_json_holds_the_rows_as_they_are(tmp_path: Path) -> None:
    path = export(RESULTS, tmp_path / "rows.json")
    assert json.loads(path.read_text(encoding="utf-8")) == ROWS


def test_csv_and_parquet_hold_the_same_figures(tmp_path: Path) -> None:
    expected = pd.DataFrame(ROWS)
    csv = pd.read_csv(export(RESULTS, tmp_path / "rows.csv"), keep_default_na=True)
    file = export(RESULTS, tmp_path / "rows.parquet")
    parquet = duckdb.sql(f"SELECT * FROM '{file}'").df()
    assert list(csv) == list(parquet) == list(expected)
    for column in ("effect_per_customer", "simultaneous_ci_upper", "n_treated"):
        for found in (csv, parquet):
            pd.testing.assert_series_equal(
                found[column].astype(float), expected[column].astype(float), rtol=1e-12
            )


def test_a_workbook_has_a_sheet_a_table_with_a_frozen_header(tmp_path: Path) -> None:
    path = export(RESULTS, tmp_path / "all.xlsx")
    with zipfile.ZipFile(path) as book:
        names = re.findall(r'<sheet name="(\w+)"', book.read("xl/workbook.xml").decode())
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert names == [*sheets(RESULTS), "units"]
    assert 'state="frozen"' in sheet


def test_a_workbook_never_turns_text_into_a_formula(tmp_path: Path) -> None:
    from dataclasses import replace

    result = replace(samples.good(), campaign="=1+1")
    path = export([result], tmp_path / "all.xlsx")
    with zipfile.ZipFile(path) as book:
        sheets_text = [book.read(n).decode() for n in book.namelist() if "worksheets/" in n]
    assert not any("<f>" in text for text in sheets_text)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="csv, json, parquet, xlsx"):
        export(RESULTS, tmp_path / "rows.doc")
