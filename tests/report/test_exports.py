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


def test_a_workbook_tells_the_unit_of_every_column(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.load_workbook(export(RESULTS, tmp_path / "all.xlsx"))
    units = {row[:2]: row[2] for row in book["units"].iter_rows(min_row=2, values_only=True)}
    assert units["money", "net_ci_lower"].startswith("the project's currency")
    assert units["effects", "total_effect"].startswith("in the metric's unit, all treated")
    assert units["effects", "effect_per_customer"] == "per customer, in the metric's unit"
    assert units["effects", "relative_effect"] == "share of 1, shown in percent"
    assert units["looks", "boundary"] == "standard errors"
    assert {units["provenance", f"rows_{what}"] for what in ("read", "ignored")} == {"count"}
    assert {sheet.freeze_panes for sheet in book} == {"B2"}
    cells = {cell.value: cell.column_letter for cell in book["effects"][1]}
    shown = {name: book["effects"][f"{at}2"].number_format for name, at in cells.items()}
    assert shown["n_treated"] == "#,##0"
    assert shown["relative_effect"] == "0.0%"


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
