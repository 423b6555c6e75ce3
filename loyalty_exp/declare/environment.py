"""Secrets: `${NAME}` in the address of a database, filled in only when it is opened.

The declaration keeps the text as written, so that no plan, page or message can hold a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from loyalty_exp.errors import LoyaltyExpError

__all__ = ["expand", "holds_secret", "is_address", "is_elsewhere", "missing_variables"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9_+.-]*://")
_ELSEWHERE = re.compile(r"(?:https?|ftp|sftp|s3|gs|gcs|az|abfss?|hf|file)://", re.IGNORECASE)
_USER = re.compile(r"://(?P<user>[^/?#]*)@")
_SECRET_OPTION = re.compile(
    r"[?&;](?:password|passwd|pwd|sslpassword|token|access_token|motherduck_token|secret|"
    r"secret_key|api_key|private_key)=(?P<value>[^&;]*)",
    re.IGNORECASE,
)


def is_address(text: str) -> bool:
    """Whether a source is a database's address rather than a file, `${NAME}` included."""
    return bool(_ADDRESS.match(text)) or bool(_VARIABLE.fullmatch(text.strip()))


def is_elsewhere(text: str) -> bool:
    """Whether a source would have to be fetched over a network: that is never done."""
    return bool(_ELSEWHERE.match(text))


def missing_variables(text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the variables that a text asks for and the environment lacks, in order."""
    known = os.environ if environ is None else environ
    return tuple(dict.fromkeys(name for name in _VARIABLE.findall(text) if name not in known))


def holds_secret(text: str) -> bool:
    """Whether an address spells out a password or a token instead of naming a variable."""
    user = _USER.search(text)
    if user and ":" in user["user"]:
        password = user["user"].split(":", 1)[1]
        if password and not _VARIABLE.fullmatch(password):
            return True
    return any(
        match["value"] and not _VARIABLE.fullmatch(match["value"])
        for match in _SECRET_OPTION.finditer(text)
    )


def expand(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Fill in the variables of an address.

    A value that stands between `://` and `@` is percent-encoded, so that a password may hold
    any character; a value that stands elsewhere is put in as it is.

    Args:
        text: An address or file name as declared.
        environ: Variables to use instead of the process's own.

    Returns:
        The text with every `${NAME}` replaced.

    Raises:
        LoyaltyExpError: A variable is not set; the message names it and nothing else.
    """
    missing = missing_variables(text, environ)
    if missing:
        raise LoyaltyExpError(f"the environment variable {missing[0]} is not set")
    known = os.environ if environ is None else environ
    user = _USER.search(text)

    def value(match: re.Match[str]) -> str:
        found = known[match[1]]
        inside = user is not None and user.start("user") <= match.start() < user.end("user")
        return quote(found, safe="") if inside else found

    return _VARIABLE.sub(value, text)
