"""With a declaration in French the terminal speaks French, mistakes and refusals included."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from declare.test_mistakes import BASE, CASES
from shops import DECLARATION, done, open_shop, run

from loyalty_exp.declare.toml import read
from loyalty_exp.errors import DeclarationError
from loyalty_exp.project import open_project
from loyalty_exp.report.refusals import told
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.store.tables import assignments

EN, FR = Tongue("en"), Tongue("fr")
ENGLISH = re.compile(r"\b(?:the|is|are|of|expected|missing|unknown|with|this|not|did|mean)\b")
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|\[[^]]*\]|\([^)]*\)")
IN_FRENCH = DECLARATION.replace("[project]", '[project]\nlocale = "fr"')


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return open_shop(tmp_path, IN_FRENCH)


@pytest.mark.parametrize(("old", "new"), [case[:2] for case in CASES], ids=range(len(CASES)))
def test_every_mistake_of_a_declaration_is_told_in_french(
    old: str, new: str, tmp_path: Path
) -> None:
    path = tmp_path / "campaigns.toml"
    path.write_text(BASE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeclarationError) as caught:
        read(path)
    for mistake in caught.value.mistakes:
        french = told(FR, mistake.message)
        assert french != mistake.message
        assert not ENGLISH.search(QUOTED.sub("", french)), french
        assert "on attend" not in re.sub(r"(^|[;:),] )on attend", "", plain(french)), french
        assert told(EN, mistake.message) == mistake.message


MODULES = (
    "declare.checks", "declare.queries", "declare.rules", "declare.syntax", "declare.toml",
    "declare.words", "design.draw", "store.columns", "store.etl", "store.limits", "store.load",
    "store.plans", "store.presets", "store.readers", "store.repair", "store.vocabulary",
    "store.queries.judge", "store.queries.rows",
)  # fmt: skip
PIECES = {
    "is null", "a {}", "decimal mark", "an unknown word", " (the letter {})", " (nor its folder)",
    "the list opened here", "the inline table opened here", "the text opened here", " and {} more",
    "{} (character {}): {}", "; did you mean {}?", '; did you mean "{}"?', "{} others",
    " (and {} other columns)", "{} unknown words", 'unknown {} "{}" on {}',
    "; declare lines = true if a row is one line of an order", "{} ({} rows)",
    "; its first line holds data, not the names of columns", "; its columns are {}{}",
    "{} is not closed with {}",
    '"{}": a comma before three digits is read as {}',
    '{}: they count as contacts made; "{}" is an offer used{}',
}  # fmt: skip
"""Parts of messages, which are told as a whole."""


def phrases(name: str) -> set[str]:
    """Texts of words that a module can say, {} for each place in them; no SQL, no docstrings."""
    source = Path(str(importlib.import_module(f"loyalty_exp.{name}").__file__))
    tree = ast.parse(source.read_text(encoding="utf-8"))
    aside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Expr)
        for part in ast.walk(node)
        if part is not node and (isinstance(node, ast.JoinedStr) or part is node.value)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in aside:
            found.add("".join(getattr(part, "value", "{}") for part in map(constant, node.values)))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside
        ):
            found.add(node.value)
    return {text for text in found if re.search(r"[a-z] [a-z]", text) and not is_sql(text)}


def constant(part: ast.expr) -> object:
    return part if isinstance(part, ast.Constant) else None


def is_sql(text: str) -> bool:
    """Whether a text is of a statement or of a pattern, for no reader."""
    return bool(re.search(r"\b(?:CASE|WHEN|FROM|AS|JOIN)\b|\|\||\\|^error\(", text))


def is_told(text: str) -> bool:
    """Whether a text is translated with its places filled, or some of them left empty."""
    parts = text.split("{}")
    for filled in itertools.product(("7", ""), repeat=len(parts) - 1):
        given = "".join(part + place for part, place in zip(parts, (*filled, ""), strict=True))
        if told(FR, given) != given:
            return True
    return False


@pytest.mark.parametrize("name", MODULES)
def test_nothing_that_reading_and_checking_say_was_forgotten(name: str) -> None:
    assert {text for text in phrases(name) if not is_told(text)} <= PIECES


def plain(text: str) -> str:
    """A text on one line, its unbreakable spaces plain."""
    return " ".join(text.split())


def refused(path: Path, *words: str) -> str:
    result = run(path, *words)
    assert result.exit_code == 2, result.output
    return plain(result.output)


def test_check_names_mistakes_in_french(shop: Path) -> None:
    assert plain(done(shop, "check")) == f"{shop} : aucune erreur ; Small shop : spring"
    shop.write_text(IN_FRENCH.replace("holdout = 30", "holdout = 0.3"), encoding="utf-8")
    assert refused(shop, "load") == (
        f"{shop}:22: [campaign.spring] arms.holdout = 0.3: on attend un pourcentage de 1 à 90 ; "
        "vouliez-vous dire 30 ?"
    )
    shop.write_text(IN_FRENCH + "[campaign.spring]\n", encoding="utf-8")
    assert "est défini deux fois : d’abord à la ligne" in refused(shop, "check")


def test_load_tells_in_french_what_was_set_aside(shop: Path) -> None:
    orders = shop.parent / "orders.csv"
    assert refused(shop, "segments") == (
        "loyalty.duckdb : rien n’est encore chargé ; lancez d’abord `loyalty-exp load`"
    )
    orders.write_text(orders.read_text() + "x1,00001,2026-01-05,beaucoup\n", encoding="utf-8")
    said = plain(done(shop, "load"))
    assert "commandes : orders.csv" in said
    assert "1 écartées, revenue : n’est pas un nombre (la première est la ligne " in said
    assert "déjà chargé, rien n’a changé" in done(shop, "load")
    orders.write_text("number,client,day,net\n1,2,2026-01-01,3\n", encoding="utf-8")
    assert "pas de colonne « date » pour ordered_at" in refused(shop, "load")


def test_verify_and_measure_speak_french(shop: Path) -> None:
    done(shop, "load")
    assert done(shop, "verify") == "aucune campagne n’est encore lancée\n"
    assert "n’a pas été lancée" in refused(shop, "measure", "spring")
    done(shop, "launch", "spring")
    assert "conforme" in done(shop, "verify")
    said = done(shop, "measure")
    for word in ("mois", "version", "moyenne", "effet", "relatif", "valable pour tous les mois"):
        assert word in said
    assert not re.search(r"\b(?:month|mean|effect|against|holdout)\b", said)
    with open_project(shop).store.write() as connection:
        connection.execute(sa.update(assignments).values(arm="holdout"))
    result = run(shop, "verify")
    assert result.exit_code == 1
    assert "DIFFÈRE" in result.output
    assert "la liste a été modifiée" in result.output


def test_refusals_are_told_whole_or_left_alone(shop: Path) -> None:
    done(shop, "load")
    assert refused(shop, "forget", "nobody").startswith("rien n’est gardé sur ce client")
    said = refused(
        shop,
        "compare",
        "--year1",
        "2020-01-01",
        "2020-06-30",
        "--year2",
        "2025-01-01",
        "2025-06-30",
    )
    assert said.startswith("aucune commande n’est connue en 2020-01, mais il y en a en 2025-01 :")
    unknown = "the moon is expected soon, and this is what nobody translated"
    assert told(FR, unknown) == unknown


@pytest.mark.parametrize(
    ("words", "french", "english"),
    [
        (
            "launch",
            "Il manque l’argument 'CAMPAIGN'.",
            "Missing argument 'CAMPAIGN'.",
        ),
        (
            "report --lang de",
            (
                "Valeur incorrecte pour '--lang' : 'de' n’est pas l’une des valeurs possibles : "
                "'fr', 'en'."
            ),
            "Invalid value for '--lang': 'de' is not one of 'fr', 'en'.",
        ),
        (
            "measure spring summer",
            "Un argument de trop (summer)",
            "Got unexpected extra argument (summer)",
        ),
        (
            "compare --year1 2025-13-01 2025-12-31",
            (
                "Valeur incorrecte pour '--year1' : '2025-13-01' n’est pas une date ; écrivez-la "
                "ainsi : 2026-03-31"
            ),
            "Invalid value for '--year1': '2025-13-01' is not a date; write it as 2026-03-31",
        ),
        (
            "contacts --limit 0",
            "Valeur incorrecte pour '--limit' : 0 n’est pas dans l’intervalle x>=1.",
            "Invalid value for '--limit': 0 is not in the range x>=1.",
        ),
    ],
)
def test_a_command_written_wrongly_is_told_in_the_language_of_the_declaration(
    words: str, french: str, english: str, shop: Path
) -> None:
    assert refused(shop, *words.split()).endswith(f"'. Erreur : {french}")
    shop.write_text(DECLARATION, encoding="utf-8")
    assert refused(shop, *words.split()).endswith(f"' for help. Error: {english}")
    shop.unlink()
    assert refused(shop, *words.split()).endswith(f"' for help. Error: {english}")


def test_no_such_command_or_option_is_told_even_where_the_declaration_has_mistakes(
    shop: Path,
) -> None:
    shop.write_text(IN_FRENCH.replace("holdout = 30", "holdout = 0.3"), encoding="utf-8")
    option = refused(shop, "load", "--nowhere").replace("'", "")  # later releases of click quote it
    assert option.startswith("Utilisation : main load [OPTIONS] Aide : main load -")
    assert option.endswith("Erreur : L’option --nowhere n’existe pas.")
    assert told(FR, "No such option: --lan Did you mean --lang?") == (
        "L’option --lan n’existe pas. Vouliez-vous dire --lang\N{NO-BREAK SPACE}?"
    )
    assert "La commande 'lunch' n’existe pas" in refused(shop, "lunch")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "mysql://me@here/shop",
            (
                "mysql n’est pas un moteur pris en charge ; sont pris en charge : duckdb, "
                "postgresql, spark, sqlite"
            ),
        ),
        (
            "snowflake://here",
            (
                "snowflake ne peut pas contenir les données ; comme database, prenez duckdb, "
                "postgresql ou spark (docs/engines.md)"
            ),
        ),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused_in_french(
    address: str, said: str, shop: Path
) -> None:
    database = f'[project]\ndatabase = "{address}"'
    shop.write_text(IN_FRENCH.replace("[project]", database), encoding="utf-8")
    assert refused(shop, "segments") == said
