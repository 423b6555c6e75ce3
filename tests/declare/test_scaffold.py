"""The files an author starts from are right as they are, and the schema agrees with the models."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from pathlib import Path

import pytest

from loyalty_exp.declare.models import Campaign, Costs, Declaration, Orders, Project
from loyalty_exp.declare.scaffold import json_schema, scaffold
from loyalty_exp.declare.toml import read
from loyalty_exp.errors import LoyaltyExpError

EXAMPLE = Path(__file__).parents[2] / "campaigns.example.toml"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_scaffold_is_right_as_it_is(tmp_path: Path, language: str) -> None:
    path = scaffold(tmp_path / "new", language)
    declaration = read(path)
    assert path == tmp_path / "new" / "campaigns.toml"
    assert declaration.project.locale == language
    assert len(declaration.campaigns) == 1


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_a_scaffold_offers_in_comments_is_right_too(tmp_path: Path, language: str) -> None:
    """Every commented setting, taken in one at a time, gives a declaration without mistakes."""
    path = scaffold(tmp_path, language)
    lines = path.read_text(encoding="utf-8").split("\n")
    tables = [
        (start, next(i for i in range(start, len(lines)) if not lines[i].startswith("# ")))
        for start, line in enumerate(lines)
        if line.startswith("# [")
    ]
    assert len(tables) >= 3
    uncommented = list(lines)
    for start, end in tables:
        uncommented[start:end] = [line.removeprefix("# ") for line in lines[start:end]]
    path.write_text("\n".join(uncommented), encoding="utf-8")
    declaration = read(path)
    assert declaration.universal_holdout is not None
    assert declaration.data.customers is not None
    assert declaration.data.costs is not None
    single = [i for i, line in enumerate(lines) if re.match(r"# (lines|timezone|preset) = ", line)]
    assert len(single) == 3
    for index in single:
        one = [*lines[:index], lines[index].removeprefix("# "), *lines[index + 1 :]]
        path.write_text("\n".join(one), encoding="utf-8")
        assert read(path).data.orders


@pytest.mark.parametrize(
    ("today", "dates"),
    [
        ("2026-11-25", ("2026-12-01", "2027-01-31", "2027-09-30")),
        ("2027-12-31", ("2028-01-01", "2028-02-29", "2028-10-31")),
    ],
)
def test_the_first_campaign_lies_ahead(
    tmp_path: Path, today: str, dates: tuple[str, str, str]
) -> None:
    path = scaffold(tmp_path, "fr", dt.date.fromisoformat(today))
    ((name, campaign),) = read(path).campaigns.items()
    assert tuple(map(str, (campaign.start, campaign.end, campaign.measure_until))) == dates
    assert name == f"reveil-{dates[0][:4]}"
    assert f"# start = {dates[0]}" in path.read_text(encoding="utf-8")


def test_a_scaffold_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "campaigns.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(LoyaltyExpError, match="exists already: nothing was written"):
        scaffold(tmp_path)
    assert (tmp_path / "campaigns.toml").read_text(encoding="utf-8") == "mine"


def test_the_example_is_right_and_complete() -> None:
    """Every field of the main tables is set in it, or offered in a comment."""
    declaration = read(EXAMPLE)
    assert set(declaration.campaigns) == {"winback-2026", "second-order", "club-north"}
    text = EXAMPLE.read_text(encoding="utf-8")
    for model in (Project, Orders, Campaign, Costs):
        for name in model.model_fields.keys() - {"table", "query"}:
            assert re.search(rf"(^|\s|\.|# ){name}(\]| =)", text, re.MULTILINE), name


def test_every_field_is_described() -> None:
    schema = json_schema()
    for name, table in {**schema["$defs"], "Declaration": schema}.items():
        assert table["description"], name
        for field, content in table["properties"].items():
            assert len(content["description"]) > 10, (name, field)


def test_the_schema_accepts_the_example_and_refuses_what_the_models_refuse() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    values = json.loads(json.dumps(tomllib.loads(EXAMPLE.read_text("utf-8")), default=str))
    assert list(validator.iter_errors(values)) == []
    campaign = values["campaign"]["winback-2026"]
    for field, wrong in [("lever", "promo"), ("arms", {"holdout": 0.2}), ("leverage", "service")]:
        broken = {**values, "campaign": {"winback-2026": {**campaign, field: wrong}}}
        assert list(validator.iter_errors(broken)), field


def test_the_metric_follows_from_the_objective() -> None:
    campaign = read(EXAMPLE).campaigns["winback-2026"]
    metrics = {
        objective: campaign.model_copy(update={"objective": objective}).metric
        for objective in ("revenue", "basket", "frequency", "attrition")
    }
    assert metrics == {
        "revenue": "revenue",
        "basket": "revenue",
        "frequency": "orders",
        "attrition": "active",
    }


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-01-01", 12, "2026-12-31"),
        ("2026-01-31", 1, "2026-02-27"),
        ("2026-11-15", 3, "2027-02-14"),
        ("2024-02-29", 12, "2025-02-27"),
    ],
)
def test_the_universal_holdout_ends_the_day_before_its_anniversary(
    start: str, months: int, end: str
) -> None:
    text = EXAMPLE.read_text("utf-8")
    values = tomllib.loads(
        text.replace("start = 2026-01-01\nmonths = 12", f"start = {start}\nmonths = {months}")
    )
    holdout = Declaration.model_validate(values).universal_holdout
    assert holdout is not None
    assert str(holdout.end) == end
