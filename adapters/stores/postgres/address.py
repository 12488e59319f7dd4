"""Connections to the database: where it is, how a session is set up, and what a failure means for
the people who run the courier.

Texts keep every character that Unicode has. PostgreSQL cannot keep NUL: it is written as `\\x1a0`,
and `\\x1a` itself as `\\x1a1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from attrs import field, frozen
from psycopg import Connection, pq
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.string import StrDumperUnknown, TextLoader

from ....domain.errors import MisuseError, StoreError
from ..trouble import RefusedError, subject_of
from .schema import SCHEMA

OLDEST_SERVER = 140000

# A machine that lost its power is noticed within half a minute, by both sides.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# Every question is a look-up in an index: its plan is not to change with what the server believes
# of the tables' sizes, which is wrong in the first minutes of a burst. A session that has waited
# for another's lock is to see what that has written, whatever isolation the server has by default.
# A courier that stands still in a transaction, which takes it milliseconds, keeps others for
# seconds at most.
_SETTINGS = f"""
SET search_path = {SCHEMA};
SET default_transaction_isolation = 'read committed';
SET TimeZone = 'UTC';
SET client_encoding = 'UTF8';
SET DateStyle = 'ISO';
SET extra_float_digits = 1;
SET synchronous_commit = on;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET idle_in_transaction_session_timeout = '10s';
"""
# By the class of an SQLSTATE. What is not here may pass by itself, or is mended while the courier
# runs.
_LASTING = {"22", "23", "54"}
_ADVICE = {
    "08": "look whether the server runs, and at the DSN; a cut connection is made anew by itself",
    "25": "it cannot be written to: look whether the DSN leads to a standby",
    "28": "its user was refused: look at the DSN, and at pg_hba.conf of the server",
    "3D": "there is no such database: create it, or look at the DSN",
    "40": "another courier wrote the same at the same moment; a courier tries again by"
    " itself, and what a person asked for must be asked for again",
    "42": "its user may not do that, or its tables are others: look at the user's rights",
    "53": "the server has no room or no connection left: look at its disk and max_connections",
    "54": "a name or a document is larger than PostgreSQL can keep",
    "55": "an open transaction holds it, such as a host's that records the same evidence; a"
    " courier tries again by itself, and what a person asked for must be asked for again later",
    "57": "the server is stopping or starting; a courier tries again by itself, and what a person"
    " asked for must be asked for again later",
}

_REFUSED = (
    "the server answers and refuses the connection: look at what it says, and at the user, the"
    " password and the database in the DSN"
)

_URL = re.compile("postgres(ql)?://")
_HOST = re.compile(r"[\w.-]+", re.ASCII)
_NUL = re.compile("\x1a([01])")


def escaped(text: str) -> str:
    """A text as PostgreSQL can keep it."""
    return text.replace("\x1a", "\x1a1").replace("\0", "\x1a0")


class _Dumper(StrDumperUnknown):
    def dump(self, obj: str) -> bytes | bytearray | memoryview:
        return escaped(obj).encode()


class _Loader(TextLoader):
    def load(self, data: bytes | bytearray | memoryview) -> bytes | str:
        text = str(data, "utf-8")
        if "\x1a" not in text:
            return text
        return _NUL.sub(lambda found: "\0" if found[1] == "0" else "\x1a", text)


@frozen
class Address:
    """Where the database is. `name` is how it is called in messages: without its password. `typed`
    is the whole of the DSN without what is secret, as a command is given it."""

    dsn: str = field(repr=False)
    name: str
    typed: str = field(repr=False)
    _secrets: tuple[str, ...] = field(repr=False)

    @property
    def has_secrets(self) -> bool:
        """Whether the DSN has a password, or another secret."""
        return bool(self._secrets)

    @contextmanager
    def trouble(self, undone: str, about: Sequence[object] = ()) -> Iterator[None]:
        """Turn what the database, or a value that it cannot keep, raises inside into a StoreError.

        `undone` is what is not done then, as in "not recorded"; `about` is what it was to be done
        to.
        """
        prefix = f"{self.name}: {subject_of(about)}{undone}"
        try:
            yield
        except psycopg.Error as error:
            kind = (error.sqlstate or "08")[:2]
            advice = _ADVICE.get(kind)
            if error.sqlstate is None and "FATAL:" in str(error):
                advice = _REFUSED
            passing = kind not in _LASTING and not isinstance(error, psycopg.DataError)
            seen = "; ".join(map(str.strip, self.without_secrets(str(error)).splitlines()))
            text = f"{prefix}: {seen}{f'; {advice}' if advice else ''}"
            raise StoreError(text, passing=passing) from error
        except RefusedError as error:
            raise StoreError(f"{prefix}: {error}", passing=error.passing) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise StoreError(f"{prefix}: a value does not fit: {error}") from error

    def without_secrets(self, text: str) -> str:
        """A message that may quote the DSN."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def connect(self) -> Connection[DictRow]:
        """A new session, in which each statement is a transaction of its own."""
        session = Connection[DictRow].connect(self.dsn, autocommit=True, row_factory=dict_row)
        try:
            set_up(session)
        except BaseException:
            session.close()
            raise
        return session


def address_of(dsn: str) -> Address:
    """Read a DSN: a URL, or `key=value` pairs as libpq reads them.

    Raises:
        MisuseError: It cannot be read. The message does not quote it: it may hold a password.
    """
    try:
        options = pq.Conninfo.parse(dsn.encode())
    except (psycopg.Error, ValueError):
        options = []
    found = {one.keyword.decode(): one for one in options if one.val is not None}
    parts = {name: (one.val or b"").decode() for name, one in found.items()}
    if not options or not _is_plain(dsn, parts):
        raise MisuseError(
            "the database's DSN cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            " and percent-encode what is special in user and password: @ as %40, / as %2F"
        )
    secret = [name for name, one in found.items() if one.dispchar == b"*" and parts[name]]
    given: dict[str, str | int] = {
        "application_name": "evidence-courier",
        "connect_timeout": 10,
        **_ALIVE,
        **parts,
    }
    where = f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"
    user = f"{parts['user']}@" if parts.get("user") else ""
    name = f"postgresql://{user}{where}/{parts.get('dbname') or ''}"
    spellings = [text for each in secret for text in (parts[each], quote(parts[each], safe=""))]
    secrets = (dsn, *sorted(spellings, key=len, reverse=True)) if secret else ()
    shown = {name: text for name, text in parts.items() if name not in secret}
    typed = _url_of(shown) if secret else dsn
    return Address(make_conninfo("", **given), name, typed, secrets)


def _url_of(parts: Mapping[str, str]) -> str:
    """The URL of these options. A host that is a folder or one of several is an option of it."""
    rest = {name: quote(text, safe="") for name, text in parts.items()}
    where = ""
    if _HOST.fullmatch(parts.get("host", "")):
        where = ":".join(filter(None, (rest.pop("host"), rest.pop("port", ""))))
    user = f"{rest.pop('user')}@" if "user" in rest else ""
    database = rest.pop("dbname", "")
    options = "&".join(f"{name}={text}" for name, text in rest.items())
    return f"postgresql://{user}{where}/{database}{'?' if options else ''}{options}"


def _is_plain(dsn: str, parts: Mapping[str, str]) -> bool:
    """Whether what a message shows of a DSN holds no part of a password that was written into it
    as it is: libpq ends a password at its first `@`, and reads one with a `/` as a port."""
    _, is_url, rest = dsn.partition("://") if _URL.match(dsn) else ("", "", "")
    login, _, after = rest.partition("@")
    return (
        not (is_url and ("@" in after or ("@" in rest and "/" in login)))
        and not {"@", " "} & {*parts.get("host", "")}
        and not parts.get("port", "").strip("0123456789,")
        and ":" not in parts.get("user", "")
        and "=" not in parts.get("dbname", "")
        and "://" not in parts.get("dbname", "")
    )


def set_up(session: Connection[Any]) -> None:
    """Have a new session read and write as this store does."""
    session.adapters.register_dumper(str, _Dumper)
    session.adapters.register_loader("text", _Loader)
    for name in ("timestamptz", "date"):
        session.adapters.register_loader(name, TextLoader)
    session.execute(_SETTINGS.encode())
