"""The tables of a declaration that say where data are, as frozen pydantic models.

Opens nothing: a source stays as written, with its `${NAME}` unresolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from loyalty_exp.declare import checks
from loyalty_exp.declare.environment import expand
from loyalty_exp.declare.findings import Finding, Raw, validate
from loyalty_exp.declare.kinds import (
    ColumnName,
    Date,
    Delimiter,
    Encoding,
    Preset,
    QueryText,
    Sentence,
    Share,
    Slug,
    Source,
    Timezone,
    whole,
)

__all__ = ["Assignment", "CostsSource", "Customers", "Data", "Exposures", "Orders", "Table"]


class Table(BaseModel):
    """A table of the declaration: frozen, no unknown key, TOML's own types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        return validate(cls, data, handler, cls._findings)

    @classmethod
    def _findings(cls, raw: Raw) -> Iterable[Finding]:  # noqa: ARG003
        """What is wrong between the fields of the raw table."""
        return ()


class _Source(Table):
    """A file, or a table or query of a database."""

    source: Source = Field(
        description="A CSV, Parquet or Excel file, relative to the folder of the declaration, or "
        "the address of a database, with ${NAME} for what the environment holds."
    )
    table: Sentence | None = Field(
        default=None, description="Which table to read, when the source is a database."
    )
    query: QueryText | None = Field(
        default=None,
        description="Which query to run, when the source is a database and no table fits.",
    )
    delimiter: Delimiter | None = Field(
        default=None, description="What separates the columns of a CSV file; detected if absent."
    )
    encoding: Encoding | None = Field(
        default=None, description="Encoding of a CSV file; detected if absent."
    )
    max_rejected_percent: Share = Field(
        default=1.0,
        description="Share of unreadable rows, in percent, above which nothing is loaded.",
    )
    max_rows: Annotated[int, Field(ge=1, le=10**11), whole(1, 10**11)] = Field(
        default=500_000_000, description="Rows above which nothing is read."
    )
    max_gigabytes: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=50.0, description="Size of the source, unfolded, above which nothing is read."
    )

    @property
    def address(self) -> str:
        """The source with its environment variables filled in: open it, never show it."""
        return expand(self.source)

    @classmethod
    def _findings(cls, raw: Raw) -> Iterable[Finding]:
        return checks.of_source(raw)


class Orders(_Source):
    """Where the orders are."""

    preset: Preset | None = Field(
        default=None, description="The shop or invoicing tool that wrote the export."
    )
    columns: dict[
        Literal[
            "order_id", "customer_id", "ordered_at", "revenue", "margin", "channel", "currency",
            "status",
        ],
        ColumnName,
    ] = Field(
        default_factory=dict,
        description="Our name for a column = the column of the source, or an expression over its "
        "columns. Needed: order_id, customer_id, ordered_at, revenue (net of tax and refunds).",
    )  # fmt: skip
    lines: bool = Field(
        default=False,
        description="Whether a row is one line of an order: lines of an order are then summed.",
    )
    statuses: Annotated[tuple[Sentence, ...], Field(strict=False)] = Field(
        default=(),
        description="The values of the status column that make a sale; needed where it is mapped "
        "and no preset knows them.",
    )
    timezone: Timezone | None = Field(
        default=None,
        description="Time zone of the times in the source; the project's if absent.",
    )
    extracted_on: Date | None = Field(
        default=None, description="The day the export was made: later months are not closed."
    )


class Customers(_Source):
    """Where the attributes of customers are."""

    columns: dict[Sentence, ColumnName] = Field(
        default_factory=lambda: {"customer_id": "customer_id"},
        description="Our name for an attribute = the column of the source. Needed: customer_id. Of "
        "other columns, those that rules, strata, units and consents name are kept, no other.",
    )


class Exposures(_Source):
    """Where the log of contacts is: who was reached, when, by what, at which cost."""

    columns: dict[Literal["campaign", "customer_id", "at", "kind", "cost"], ColumnName] = Field(
        default_factory=dict,
        description="Our name = the column of the source. Needed: customer_id and at. Kind is "
        "sent, opened, clicked, redeemed, ...",
    )
    timezone: Timezone | None = Field(
        default=None,
        description="Time zone of the times in the source; the project's if absent.",
    )


class CostsSource(_Source):
    """Where the costs really paid are."""

    columns: dict[Literal["campaign", "arm", "day", "kind", "amount"], ColumnName] = Field(
        default_factory=dict,
        description="Our name = the column of the source. Needed: campaign, day and amount.",
    )


class Data(Table):
    """The sources."""

    orders: Orders = Field(description="Orders, or lines of orders.")
    customers: Customers | None = Field(
        default=None, description="Attributes of customers: consent, company, region, ..."
    )
    exposures: Exposures | None = Field(default=None, description="Log of contacts.")
    costs: CostsSource | None = Field(default=None, description="Costs really paid.")


class Assignment(_Source):
    """A split that a CRM or an agency has drawn: measured, never drawn here."""

    columns: dict[Literal["unit", "arm", "date"], ColumnName] = Field(
        default_factory=dict,
        description="Our name = the column of the source. Needed: unit and arm; date is the day "
        "the unit entered, the campaign's start if absent.",
    )
    arms: dict[Slug, Sentence] = Field(
        default_factory=dict,
        description='Our arm = the source\'s word for it, where they differ: holdout = "Group A".',
    )
