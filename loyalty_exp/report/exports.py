"""Results as files for other tools: XLSX, CSV, JSON, Parquet. Holds no customer-level row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from loyalty_exp.measure.results import EffectRow

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from loyalty_exp.measure.results import CampaignResult, Estimate

__all__ = ["FORMATS", "export", "sheets"]

FORMATS = ("csv", "json", "parquet", "xlsx")
_INTEGERS = (
    "n_treated", "n_holdout", "units", "number", "rows_read", "rows_loaded", "rows_set_aside",
    "rows_ignored",
)  # fmt: skip
_SHARES = ("level", "relative_effect", "relative_ci_lower", "relative_ci_upper", "probability_paid")
_PROBABILITIES = ("p_value", "p_value_holm")
_UNITS = {
    "total_": "in the metric's unit, all treated customers together",
    "incremental_": "the project's currency, all treated customers together",
    "net": "the project's currency, all treated customers together",
    "cost": "the project's currency, all treated customers together",
    "iroi": "money earned for one spent, the one spent taken off",
    "z": "standard errors",
    "boundary": "standard errors",
}
"""Unit of a column by how its name begins; of all others, per customer."""
Records = list[dict[str, Any]]


def export(results: Sequence[CampaignResult], path: Path) -> Path:
    """Write results in the format of the file's suffix.

    CSV, JSON and Parquet hold the effect rows, in the fields of `EffectRow`; XLSX a sheet a table.

    Args:
        results: Measurements of one or more campaigns.
        path: File to write, ending in .csv, .json, .parquet or .xlsx.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is none of these.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path.name}: one of {', '.join(FORMATS)} is expected as its ending")
    if suffix == "xlsx":
        _write_xlsx(sheets(results), path)
    elif suffix == "json":
        rows = [row for result in results for row in result.to_dicts()]
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif suffix == "csv":
        _frame(results).to_csv(path, index=False, encoding="utf-8")
    else:
        _write_parquet(_frame(results), path)
    return path


def _frame(results: Sequence[CampaignResult]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415  (slow to import, needed only here)

    rows = [row for result in results for row in result.to_dicts()]
    frame = pd.DataFrame(rows, columns=[field.name for field in fields(EffectRow)])
    numeric = [f.name for f in fields(EffectRow) if "float" in str(f.type)]
    return frame.astype(dict.fromkeys(numeric, "float64"))


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """By DuckDB, so that no further library is needed."""
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as connection:
        connection.register("rows", frame)
        connection.sql("SELECT * FROM rows").write_parquet(str(path))


def sheets(results: Sequence[CampaignResult]) -> dict[str, Records]:
    """Every table of the results by sheet name; a sheet without rows is left out."""
    made: dict[str, Records] = {
        "verdicts": [row for result in results for row in _verdicts(result)],
        "effects": [row for result in results for row in result.to_dicts()],
        "money": [row for result in results for row in _money(result)],
        "looks": [row for result in results for row in _looks(result)],
        "segments": [row for result in results for row in _segments(result)],
        "parts": [row for result in results for row in _parts(result)],
        "robustness": [row for result in results for row in _robustness(result)],
        "checks": [row for result in results for row in _checks(result)],
        "flow": [row for result in results for row in _flow(result)],
        "strata": [row for result in results for row in _strata(result)],
        "provenance": [row for result in results for row in _provenance(result)],
    }
    return {name: rows for name, rows in made.items() if rows}


def _spread(prefix: str, estimate: Estimate | None) -> dict[str, float | None]:
    """An estimate as three columns."""
    if estimate is None:
        return {prefix: None, f"{prefix}_ci_lower": None, f"{prefix}_ci_upper": None}
    return {
        prefix: estimate.value,
        f"{prefix}_ci_lower": estimate.lower,
        f"{prefix}_ci_upper": estimate.upper,
    }


def _verdicts(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "arm": arm.arm,
            "verdict": str(arm.verdict.kind),
            "month": arm.verdict.month,
            "expected_month": arm.verdict.expected_month,
            "currency": result.plan.currency,
            "n_treated": arm.n_treated,
            "n_holdout": arm.n_holdout,
            "cost": arm.economics.cost,
            **_spread("incremental_margin", arm.economics.incremental_margin),
            **_spread("net", arm.verdict.net),
            **_spread("iroi", arm.economics.iroi),
            "probability_paid": arm.economics.probability_paid,
            "payback_month": arm.economics.payback_month,
            "caveat": result.caveat,
        }
        for arm in result.arms
    ]


def _money(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "arm": arm.arm,
            "month": month.month,
            "closed": month.closed,
            **_spread("incremental_margin", month.incremental_margin),
            "cost": month.cost,
            **_spread("net", month.net),
        }
        for arm in result.arms
        for month in arm.economics.months
    ]


def _looks(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "arm": arm.arm,
            "number": look.number,
            "month": look.month,
            **_spread("effect", look.effect),
            "z": look.z,
            "boundary": look.boundary,
            "significant": look.significant,
        }
        for arm in result.arms
        for look in arm.looks
    ]


def _segments(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "arm": arm.arm,
            "segment": rank.segment,
            **_spread("effect", rank.effect),
            **_spread("shrunken", rank.shrunken),
            "p_value_holm": rank.p_value_holm,
        }
        for arm in result.arms
        if arm.heterogeneity
        for rank in arm.heterogeneity.segments
    ]


def _parts(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "arm": arm.arm,
            "component": part.name,
            **_spread("effect", part.effect),
        }
        for arm in result.arms
        if arm.decomposition
        for part in arm.decomposition.components
    ]


def _robustness(result: CampaignResult) -> Records:
    rows: Records = []
    for arm in result.arms:
        named = [(item.name, item.effect) for item in arm.sensitivity]
        named += [(f"without the top {item.removed}", item.effect) for item in arm.influence]
        base = {"campaign": result.campaign, "arm": arm.arm}
        rows += [{**base, "calculation": name, **_spread("effect", e)} for name, e in named]
    return rows


def _checks(result: CampaignResult) -> Records:
    return [
        {
            "campaign": result.campaign,
            "check": check.name,
            "status": str(check.status),
            "critical": check.critical,
            "values": "; ".join(f"{key} = {value}" for key, value in check.values.items()),
        }
        for check in result.checks
    ]


def _flow(result: CampaignResult) -> Records:
    return [
        {"campaign": result.campaign, "step": step, "units": units} for step, units in result.flow
    ]


def _strata(result: CampaignResult) -> Records:
    plan = result.plan
    return [
        {
            "campaign": result.campaign,
            "stratum": stratum.stratum,
            "arm": arm,
            "units": units,
            "salt": plan.salt,
        }
        for stratum in plan.strata
        for arm, units in zip(plan.arms, stratum.counts, strict=True)
    ]


def _provenance(result: CampaignResult) -> Records:
    source = asdict(result.provenance)
    loads = source.pop("loads")
    facts = {"campaign": result.campaign, "plan_sha256": result.plan.digest, **source}
    text = {key: str(value) for key, value in facts.items()}
    names = {"what": "data", "name": "file", "digest": "sha256"}
    renamed = ({names.get(key, key): value for key, value in load.items()} for load in loads)
    return [{**text, **load} for load in renamed] or [text]


def _write_xlsx(tables: dict[str, Records], path: Path) -> None:
    """One sheet a table: formats, frozen header, filter, widths; units in a last sheet."""
    import xlsxwriter  # noqa: PLC0415

    options = {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        formats = {
            name: book.add_format({"num_format": code})
            for name, code in (
                ("integer", "#,##0"),
                ("share", "0.0%"),
                ("probability", "0.0000"),
                ("number", "#,##0.00##"),
            )
        }
        for name, rows in {**tables, "units": _units(tables)}.items():
            sheet = book.add_worksheet(name)
            columns = list(dict.fromkeys(key for row in rows for key in row))
            sheet.write_row(0, 0, columns, header)
            for i, row in enumerate(rows, start=1):
                for j, column in enumerate(columns):
                    _write_cell(sheet, i, j, row.get(column), formats.get(_kind(column)))
            sheet.freeze_panes(1, 1)
            sheet.autofilter(0, 0, max(len(rows), 1), max(len(columns) - 1, 0))
            sheet.autofit(300)


def _write_cell(sheet: Any, row: int, column: int, value: object, number: Any) -> None:
    """A cell by its type; an absent figure stays empty."""
    if value is None:
        sheet.write_blank(row, column, None)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value, number)
    else:
        sheet.write_string(row, column, str(value))


def _kind(column: str) -> str:
    """The format of a column, by its name."""
    if column in _INTEGERS:
        return "integer"
    if column in _SHARES:
        return "share"
    return "probability" if column in _PROBABILITIES else "number"


def _units(tables: dict[str, Records]) -> Records:
    """What unit each column is in."""
    rows: Records = []
    for name, records in tables.items():
        for column in dict.fromkeys(key for record in records for key in record):
            if any(type(record.get(column)) in (int, float) for record in records):
                rows.append({"sheet": name, "column": column, "unit": _unit(column)})
    return rows


def _unit(column: str) -> str:
    """The unit of a column, by its name."""
    kinds = {
        "integer": "count",
        "share": "share of 1, shown in percent",
        "probability": "probability",
    }
    begun = (unit for start, unit in _UNITS.items() if column.startswith(start))
    return kinds.get(_kind(column)) or next(begun, "per customer, in the metric's unit")
