"""Files, merging, variables of the environment, positions; nothing ends in a traceback."""

from __future__ import annotations

import datetime as dt
import json
import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_exp.declare.environment import expand, holds_secret, missing_variables
from loyalty_exp.declare.positions import Unclosed, scan
from loyalty_exp.declare.toml import find, read
from loyalty_exp.errors import DeclarationError, LoyaltyExpError, Mistake

EXAMPLE = (Path(__file__).parents[2] / "campaigns.example.toml").read_text(encoding="utf-8")

CORE = """\
schema = 1
[project]
name = "Maison Exemple"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.42
[data.orders]
source = "orders.csv"
columns = { order_id = "id", customer_id = "c", ordered_at = "d", revenue = "r" }
"""
CAMPAIGN = """\
schema = 1
[campaign.{name}]
name = "A campaign"
segments = ["all"]
lever = "service"
objective = "basket"
start = 2026-03-01
end = 2026-04-30
arms = {{ holdout = 50, letter = 50 }}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


# --- files ---------------------------------------------------------------------------------------


def test_files_beside_the_main_one_are_merged_in_the_order_of_names(folder: Path) -> None:
    main = written("campaigns.toml", CORE)
    second = written("campaigns/b.toml", CAMPAIGN.format(name="second"))
    first = written("campaigns/a.toml", CAMPAIGN.format(name="first"))
    assert find(main) == (main, first, second)
    assert find(folder) == (folder / main, folder / first, folder / second)
    assert list(read(main).campaigns) == ["first", "second"]
    assert read([main, second]).campaigns.keys() == {"second"}


def test_a_table_defined_in_two_files_names_both_places(folder: Path) -> None:
    written("campaigns.toml", CORE)
    written("campaigns/a.toml", CAMPAIGN.format(name="one"))
    written("campaigns/b.toml", "\n" + CAMPAIGN.format(name="one") + '[project]\nname = "x"\n')
    with pytest.raises(DeclarationError) as caught:
        read(folder / "campaigns.toml")
    said = [str(mistake).replace(f"{folder}/", "") for mistake in caught.value.mistakes]
    assert said == [
        "campaigns/b.toml:3: [campaign.one]: is defined twice: first in campaigns/a.toml:2",
        "campaigns/b.toml:11: [project]: is defined twice: first in campaigns.toml:2",
    ]


@pytest.mark.usefixtures("folder")
def test_a_mistake_is_told_in_its_own_file() -> None:
    written("campaigns.toml", CORE)
    written("campaigns/a.toml", CAMPAIGN.format(name="one").replace("basket", "churn"))
    with pytest.raises(DeclarationError) as caught:
        read("campaigns.toml")
    assert str(caught.value).startswith('campaigns/a.toml:6: [campaign.one] objective = "churn"')


@pytest.mark.usefixtures("folder")
def test_tables_implied_by_longer_names_merge_across_files() -> None:
    written("campaigns.toml", CORE + '[segments]\nscheme = "tiers"\n')
    written("campaigns/a.toml", "[segments.big]\nwhere = 'revenue_12m > 100'\n")
    segments = read("campaigns.toml").segments
    assert (segments.scheme, list(segments.rules)) == ("tiers", ["big"])


def test_a_folder_cannot_be_read_as_a_file(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DeclarationError, match="no such file"):
        read(folder / "empty")
    with pytest.raises(DeclarationError, match="cannot be read"):
        read([folder / "empty"])


# --- defaults ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_dates_left_out_follow_from_the_others() -> None:
    written("campaigns.toml", CORE + CAMPAIGN.format(name="one").split("\n", 1)[1])
    campaign = read("campaigns.toml").campaigns["one"]
    assert campaign.measure_until == campaign.end
    assert campaign.as_of == dt.date(2026, 2, 28)
    assert campaign.months() == ("2026-03", "2026-04")
    assert campaign.months(dt.date(2026, 4, 2)) == ("2026-04",)
    assert campaign.months(dt.date(2026, 5, 1)) == ()
    assert (campaign.treated_arms, campaign.holdout_percent) == (("letter",), 50)


def test_a_declaration_reads_back_from_its_own_values(tmp_path: Path) -> None:
    file = tmp_path / "campaigns.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    declaration = read(file)
    assert type(declaration).model_validate(declaration.model_dump(by_alias=True)) == declaration
    campaign = json.loads(declaration.model_dump_json(by_alias=True))["campaign"]["winback-2026"]
    assert list(campaign["arms"]) == ["holdout", "call", "call_and_voucher"]


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_a_variable_is_filled_in_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql://bob:${SHOP_PASSWORD}@db/shop"
    written("campaigns.toml", CORE.replace("margin", f'database = "{address}"\nmargin', 1))
    monkeypatch.setenv("SHOP_PASSWORD", "p@ss/word")
    declaration = read("campaigns.toml")
    assert declaration.project.database == address
    assert "p@ss" not in repr(declaration)
    assert "p@ss" not in declaration.model_dump_json()
    assert declaration.project.database_url == "postgresql://bob:p%40ss%2Fword@db/shop"


def test_a_whole_address_from_the_environment_is_left_as_it_is() -> None:
    known = {"SHOP_URL": "postgresql://bob:p%40ss@db/shop"}
    assert expand("${SHOP_URL}", known) == known["SHOP_URL"]
    assert missing_variables("${A}/${SHOP_URL}/${B}/${A}", known) == ("A", "B")
    with pytest.raises(LoyaltyExpError, match=r"^the environment variable A is not set$"):
        expand("${SHOP_URL}${A}", known)


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("postgresql://bob@db/shop", False),
        ("postgresql://bob:@db/shop", False),
        ("postgresql://bob:${PW}@db/shop", False),
        ("postgresql://bob:x${PW}@db/shop", True),
        ("postgresql://bob:pw@db/shop", True),
        ("postgresql://db/shop?user=bob&password=pw", True),
        ("postgresql://db/shop?user=bob&password=${PW}", False),
        ("databricks://token@host?http_path=x&ACCESS_TOKEN=dapi", True),
        ("duckdb:///md:base?motherduck_token=x", True),
        ("duckdb:///loyalty.duckdb", False),
    ],
)
def test_a_secret_spelled_out_is_seen(address: str, secret: bool) -> None:
    assert holds_secret(address) is secret


# --- positions -----------------------------------------------------------------------------------


def test_positions_of_everything_toml_has() -> None:
    text = (
        "# comment\n"
        "a = 1\n"
        '"b c".d = """\nx\n""\\""""\n'
        "[t] # [not]\n"
        "list = [ # one\n  1, {k = 2},\n  [\n  '#']\n]\n"
        "[t.'u.v'.w]\n"
        "inline = { x = 1, y = { z = '''\n''' } }\n"
        "[[many]]\nq = 2026-01-01 10:00:00\n[many.sub]\nr = true\n"
        "[[many]]\nq = -1.5e3\n"
    )
    found = scan(text)
    assert found.twice == []
    assert {path: found.lines[path] for path in found.values} == {
        ("a",): 2,
        ("b c", "d"): 3,
        ("t", "list"): 7,
        ("t", "list", 0): 8,
        ("t", "list", 1): 8,
        ("t", "list", 1, "k"): 8,
        ("t", "list", 2): 9,
        ("t", "list", 2, 0): 10,
        ("t", "u.v", "w", "inline"): 13,
        ("t", "u.v", "w", "inline", "x"): 13,
        ("t", "u.v", "w", "inline", "y"): 13,
        ("t", "u.v", "w", "inline", "y", "z"): 13,
        ("many", 0, "q"): 16,
        ("many", 0, "sub", "r"): 18,
        ("many", 1, "q"): 20,
    }
    assert found.headers == {("t",): 6, ("t", "u.v", "w"): 12, ("many", 0): 15,
                             ("many", 0, "sub"): 17, ("many", 1): 19}  # fmt: skip
    assert found.nearest(("t", "list", 1, "zz", 3)) == (("t", "list", 1), 8)
    assert found.nearest(("nowhere",)) == ((), 1)


@pytest.mark.parametrize(
    ("text", "line", "closing"),
    [('a = 1\nb = """\nx', 2, '"""'), ("a = [\n1,\n", 1, "]"), ("a = [1\nb = 2", 1, "]"),
     ("\na = { b = 1", 2, "}"), ("a = '''", 1, "'''")],
)  # fmt: skip
def test_what_is_left_open_is_told_where_it_opens(text: str, line: int, closing: str) -> None:
    with pytest.raises(Unclosed) as caught:
        scan(text)
    assert (caught.value.line, caught.value.closing) == (line, closing)


KEYS = st.sampled_from(["a", "b-c", "0", "é", "x y", "", "q.r", 'd"q', "it's"])
LEAVES = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.text(st.sampled_from("ab#[]{}=,.'\"\\\n é"), max_size=6),
    st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def spelled(value: object, breaks: bool) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(k)} = {spelled(v, False)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, list):
        gap = "\n" if breaks else " "
        return "[" + gap + f",{gap}".join(spelled(item, breaks) for item in value) + gap + "]"
    if isinstance(value, dt.date):
        return value.isoformat()
    return json.dumps(value)


def paths(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {path} if path else set()
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


@given(tables=st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_path_of_any_toml_is_on_the_line_it_is_written_on(
    tables: dict[str, dict[str, object]],
) -> None:
    """The text is built line by line, so that the line of every key is known beforehand."""
    text, expected = "", {}
    for name, table in tables.items():
        expected[(name,)] = text.count("\n") + 1
        text += f"[ {json.dumps(name)} ] # x\n"
        for key, value in table.items():
            expected[(name, key)] = text.count("\n") + 1
            text += f"{json.dumps(key)} = {spelled(value, True)}\n\n"
    values = tomllib.loads(text)
    found = scan(text)
    assert set(found.lines) == paths(values)
    assert {path: found.lines[path] for path in expected} == expected
    assert found.twice == []


# --- no traceback --------------------------------------------------------------------------------

SNIPPETS = [
    "", "0,2", "'", '"', '"""', "[", "]", "[[", "{", "}", "=", "\n", "#", "\\", "\x00", "\ufeff",
    "nan", "inf", "-1", "1e400", "9" * 5000, "0.2", "true", "é", "\u202e", "2026-02-30",
    "01/02/2026",
    "2026-03-01T10:00:00Z", "12:00:00", "[1, 'a']", "{ a = 1 }", "{}", "[]", "promo", "“x”",
    "${HOME}", "postgresql://a:b@c", "a.b.c", "schema", "[campaign]", "[campaign.x]", "[segments]",
    "[[campaign]]", 'where = "r > ("', "\r", "1_000", "0x10", "[" * 200, "'''", "../../etc",
]  # fmt: skip


def outcome(folder: Path, data: bytes) -> None:
    """Reading ends in a declaration or in mistakes that stand on real lines, never otherwise."""
    file = folder / "campaigns.toml"
    file.write_bytes(data)
    mistakes: list[Mistake] = []
    try:
        read(file, environ={})
    except DeclarationError as error:
        mistakes = error.mistakes
        if not mistakes:
            raise
    lines = max(data.count(b"\n"), data.count(b"\r")) + 1
    for mistake in mistakes:
        assert 1 <= mistake.line <= lines
        assert mistake.file == str(file)
        assert mistake.message.isprintable()
        assert "\n" not in str(mistake)


COMMON = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@COMMON
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_end_in_a_traceback(tmp_path: Path, data: bytes) -> None:
    outcome(tmp_path, data)


@COMMON
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 4))
def test_no_mutated_declaration_ends_in_a_traceback(tmp_path: Path, seed: int, edits: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    lines = [line for line in EXAMPLE.split("\n") if line and not line.startswith("#")]
    for _ in range(edits):
        at = dice.randrange(len(lines))
        key, sign, value = lines[at].partition(" = ")
        kind = dice.randrange(7)
        if kind == 0:
            lines[at] = f"{key}{sign}{dice.choice(SNIPPETS)}"
        elif kind == 1:
            lines.insert(at, dice.choice(lines))
        elif kind == 2:
            del lines[at]
        elif kind == 3:
            cut = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + dice.choice(SNIPPETS) + lines[at][cut:]
        elif kind == 4:
            lines[at] = f"{dice.choice(SNIPPETS)}{sign}{value}"
        elif kind == 5:
            other = dice.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = f"{key}{sign}{dice.choice(lines).partition(' = ')[2]}"
    outcome(tmp_path, "\n".join(lines).encode("utf-8", "surrogatepass"))


@COMMON
@given(data=st.data())
def test_no_value_of_any_type_ends_in_a_traceback(tmp_path: Path, data: st.DataObject) -> None:
    """Valid TOML whose fields hold values of every wrong type."""
    values = tomllib.loads(EXAMPLE)
    fields = sorted(path for path in paths(values) if all(isinstance(part, str) for part in path))
    text = ""
    for _ in range(data.draw(st.integers(1, 3))):
        *table, key = data.draw(st.sampled_from(fields))
        node = values
        for part in table:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[key] = data.draw(VALUES)
    for key, value in values.items():
        text += f"{json.dumps(key)} = {spelled(value, False)}\n"
    outcome(tmp_path, text.encode())
