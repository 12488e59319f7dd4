"""The page on notices: every kind is told, and its code checks what a webhook signs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evidence_courier import Mail
from evidence_courier.adapters.notices.webhook import signature_of
from evidence_courier.bootstrap import notices
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.notices import Notice, notice_of

PAGE = (Path(__file__).parents[2] / "docs" / "notices.md").read_text(encoding="utf-8")
SECRET = "a long random text"


def test_the_page_lists_every_kind_of_notice() -> None:
    told = re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)
    assert Notice.__doc__ is not None
    kinds = re.search(r"`kind` is ([^.]*)", Notice.__doc__)
    assert kinds is not None
    assert told == re.split(r",\s+|\s+or\s+", kinds[1])


def test_the_help_of_run_names_every_variable() -> None:
    shown = CliRunner().invoke(app, ["run", "--help"]).stdout
    for name in re.findall(r"EVIDENCE_COURIER_\w+", PAGE):
        assert f"\n  {name}  " in shown


def test_the_page_tells_every_variable() -> None:
    assert {*re.findall(r"EVIDENCE_COURIER_\w+", PAGE)} == {
        notices.WEBHOOK,
        notices.WEBHOOK_SECRET,
        notices.MAIL,
        notices.LATE_AFTER,
        notices.SUBJECTS,
    }


def test_the_code_of_the_page_folds_the_notices_of_one_cause() -> None:
    (code,) = re.findall(r"```python\n(import json\n.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "notices.md", "exec"), names)
    now = datetime.now(UTC)

    def incident(kind: str, tenant: str, reason: str) -> Any:
        notice = notice_of(kind, now, "text", tenant, "sprinto", reason)
        return names["incident_of"](notice.to_json().encode())

    assert incident("failed", "acme", "timeout") == incident("failed", "globex", "timeout")
    assert incident("blocked", "acme", "forbidden") == incident("open_again", "acme", "forbidden")
    keys = [
        incident("failed", "acme", "timeout"),
        incident("held", "acme", "timeout"),
        incident("failed", "acme", "bad_request"),
        incident("blocked", "acme", "forbidden"),
    ]
    assert len({*keys}) == len(keys)


def test_the_code_of_the_page_tells_genuine_requests_from_others() -> None:
    (code,) = re.findall(r"```python\n(import hashlib\n.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "notices.md", "exec"), names)
    now, body = str(int(time.time())), b'{"text": "x"}'
    signed = f"sha256={signature_of(SECRET, now, body)}"
    is_genuine = names["is_genuine"]
    assert is_genuine(SECRET, now, signed, body)
    assert not is_genuine(SECRET, now, signed, body + b" ")
    assert not is_genuine("another secret", now, signed, body)
    assert not is_genuine(SECRET, str(int(now) - 1), signed, body)
    old = str(int(now) - 900)
    assert not is_genuine(SECRET, old, f"sha256={signature_of(SECRET, old, body)}", body)
    assert not is_genuine(SECRET, "soon", signed, body)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_shell_lines_of_the_page_print_signature_and_digest(tmp_path: Path) -> None:
    signature, digest = re.findall(r"```sh\n(.*?)\n```", PAGE)
    body = '{"text": "acmé", "x": "\\\\n"}'.encode()
    (tmp_path / "body").write_bytes(body)
    given = {**os.environ, "TIMESTAMP": "1771668000", "SECRET": SECRET}

    def printed(line: str) -> str:
        ran = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=given, capture_output=True, text=True, check=True
        )
        return ran.stdout

    assert signature_of(SECRET, "1771668000", body) in printed(signature).split()
    mail = Mail(host="mx.example.com", sender="courier@example.com", to=["ops@example.com"])
    assert mail.name == f"mail by mx.example.com ({printed(digest).strip()})"
