"""Texts of users and customers stay texts: in pages, in lists, in paths, in the terminal."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest
from shops import CUSTOMERS, DECLARATION, done, open_shop, order_lines, run, write_lines

ATTACKS = (
    "<script>alert(1)</script>",
    "</title><script src=//evil.example/x.js></script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "</style><style>*{display:none}",
    "{{ 7777*7777 }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7777*7777} #{7777*7777} <%= 7777*7777 %>",
    "%(secret)s %n %s {0.__class__}",
    "[bold red]x[/bold red] [link=https://evil.example]y[/link]",
    "]]><!--",
    "&lt;script&gt;",
    "\u202egnp.exe",
    "' OR 1=1 --",
)
PRODUCT = "60481729"
"""7777 squared: what an evaluated template would show."""

FORMULAS = (
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", '=HYPERLINK("http://evil.example")',
    "=1", "-2", "+cmd", "@x", "=A1&B1",
)  # fmt: skip


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag in {"iframe", "object", "embed", "base", "form"}:
            self.problems.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.problems.append(f"{tag} {name}")
            if name in {"src", "href", "xlink:href"} and "//" in (value or ""):
                self.problems.append(f"{tag} {name}={value}")
            if tag == "img" and name == "src":
                self.problems.append(f"img {value}")


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def attacked(name: str, project: str) -> str:
    """A declaration with attacks wherever a user may write a text."""
    everything = "".join(text for text in ATTACKS if text.isprintable())
    listed = ", ".join(quoted(text) for text in ATTACKS if text.isprintable())
    shown = DECLARATION.replace('"Small shop"', quoted(project))
    shown = shown.replace('"Spring call"', quoted(name))
    texts = f"hypothesis = {quoted(everything)}\nchannels = [{listed}]\nlever ="
    shown = shown.replace("lever =", texts)
    shown = shown.replace("[segments.regular]", f"[segments.regular]\nlabel = {quoted(name)}")
    return shown.replace("arms =", 'stratify_by = ["region"]\narms =') + CUSTOMERS


def scripts_of(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def test_no_text_becomes_markup_or_template(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=150)
    regions = [ATTACKS[n % len(ATTACKS)].replace('"', '""') for n in range(150)]
    rows = [f'{n:05d},"{region}"' for n, region in enumerate(regions)]
    (tmp_path / "customers.csv").write_text("\n".join(["client,region", *rows, ""]), "utf-8")
    path.write_text(attacked(ATTACKS[0], ATTACKS[1]), encoding="utf-8")
    done(path, "load")
    shown = [text for text in ATTACKS if text.isprintable()]
    groups = ["".join(shown[n::4])[:118] for n in range(4)]
    for number, text in enumerate(groups):
        declared = attacked(text, groups[number - 1])
        path.write_text(declared.replace("campaign.spring", f"campaign.c{number}"), "utf-8")
        done(path, "launch", f"c{number}")
        assert PRODUCT not in done(path, "measure", f"c{number}")
    plain = None
    for page in [Path(line) for line in report_pages(path)]:
        text = page.read_text(encoding="utf-8")
        found = scripts_of(text)
        assert found.problems == [], page.name
        assert PRODUCT not in text
        assert "alert(1)</script>" not in text
        plain = found.scripts if plain is None else plain
        assert found.scripts == plain, page.name


def report_pages(path: Path) -> list[str]:
    done(path, "report")
    return [str(page) for page in sorted((path.parent / "reports").glob("*.html"))]


def test_the_parser_of_this_test_sees_an_attack() -> None:
    for text in ATTACKS[:3]:
        found = scripts_of(f"<p>{text}</p>")
        assert found.scripts or found.problems


def test_ids_that_look_like_formulas_are_quoted_in_lists(tmp_path: Path) -> None:
    path = open_shop(tmp_path, customers=120)
    lines = order_lines(120)
    evil = {f"{n:05d}": f"{FORMULAS[n % len(FORMULAS)]}{n}" for n in range(120)}
    rows = [
        f'{number},"{evil[client].replace(chr(34), chr(34) * 2)}",{when},{net}'
        for number, client, when, net in lines
    ]
    (tmp_path / "orders.csv").write_text("\n".join(["number,client,date,net", *rows, ""]), "utf-8")
    done(path, "load")
    done(path, "launch", "spring")
    done(path, "contacts", "--limit", "50", "--output", str(tmp_path / "contacts.csv"))
    lists = [*(tmp_path / "lists").rglob("*.csv"), tmp_path / "contacts.csv"]
    assert len(lists) == 3
    seen = 0
    for each in lists:
        with each.open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                seen += 1
                names = [cell for cell in row if not cell.replace(".", "", 1).isdigit()]
                assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in names)
    assert seen > 60


@pytest.mark.parametrize(
    "evil", ["../escape", "..", "/etc/x", "a/b", "a\\\\b", "c:x", "nul\\u0000x", ".hidden", "-x"]
)
@pytest.mark.parametrize("place", ["campaign", "arm", "segment"])
def test_ids_cannot_name_a_path(tmp_path: Path, evil: str, place: str) -> None:
    text = {
        "campaign": DECLARATION.replace("campaign.spring", f'campaign."{evil}"'),
        "arm": DECLARATION.replace("call =", f'"{evil}" ='),
        "segment": DECLARATION.replace("segments.regular", f'segments."{evil}"').replace(
            '["regular"]', f'["{evil}"]'
        ),
    }[place]
    path = tmp_path / "campaigns.toml"
    path.write_text(text, encoding="utf-8")
    result = run(path, "check")
    assert result.exit_code == 2
    assert "campaigns.toml:" in result.output


@pytest.mark.parametrize(
    "source",
    ["https://evil.example/o.csv", "s3://bucket/o.csv", "file:///etc/passwd", "/proc/self/environ",
     "glob*.csv", "orders.csv; DROP TABLE orders", "orders.csv'--", "nowhere/../../../etc/passwd"],
)  # fmt: skip
def test_sources_are_plain_files_of_orders(tmp_path: Path, source: str) -> None:
    path = open_shop(tmp_path, DECLARATION.replace('"orders.csv"', f'"{source}"'), customers=20)
    result = run(path, "load")
    assert result.exit_code == 2
    assert "root:" not in result.output
    assert "PATH=" not in result.output
    assert not (tmp_path / "loyalty.duckdb").exists()


def test_column_names_cannot_carry_statements(tmp_path: Path) -> None:
    evil = "net\\\") FROM orders; COPY orders TO '/tmp/x'; --"
    path = open_shop(tmp_path, DECLARATION.replace('"net"', f'"{evil}"'), customers=20)
    assert run(path, "load").exit_code == 2
    header = 'number,client,date,"net"") , (SELECT 1) AS ("""'
    rows = [f"{a},{b},{c},{d}" for a, b, c, d in order_lines(20)]
    (tmp_path / "orders.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    name = 'net\\") , (SELECT 1) AS (\\"'
    path.write_text(DECLARATION.replace('"net"', f'"{name}"'), encoding="utf-8")
    assert run(path, "load").exit_code in {0, 2}
    write_lines(tmp_path, order_lines(20))
    path.write_text(DECLARATION, encoding="utf-8")
    done(path, "load")


def attacks_tried() -> int:
    """How many attacks this file tries."""
    return len(ATTACKS) * 5 + len(FORMULAS) + 9 * 3 + 8 + 2
