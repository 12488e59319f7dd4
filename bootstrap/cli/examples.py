"""What helps to find a command and to use it: the groups in which `--help` lists them, and lines
that can be typed, for the end of each command's help."""

from __future__ import annotations

from collections.abc import Mapping

from .saying import NAME, continued

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Before anything is sent": ("check", "schema", "doctor", "render"),
    "Deliver": ("run", "submit", "import"),
    "See": ("status", "show", "watch", "health", "blocks"),
    "Decide": ("retry", "release", "abandon", "attest", "pause", "resume"),
    "Keep and remove": ("copy", "prune", "erase", "removals", "vacuum"),
    "Prove": ("invariants", "verify", "export"),
    "Try it": ("demo", "sandbox", "version"),
}

_WIDTH = 74
_MANY = "--by asha --reason 'the key was changed'"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    NAME: ("demo", "check tenants/", "run --config tenants/ --db courier.db"),
    "abandon": (
        "abandon --db courier.db acme ev-1 --by asha --reason 'handed in on paper'",
        "abandon --db courier.db --tenant acme --until 2026-01-01 --by asha --reason old --dry-run",
    ),
    "attest": ("attest --db courier.db acme ev-1 --by asha --reason 'seen in Sprinto'",),
    "blocks": ("blocks --db courier.db", "blocks --db courier.db --json"),
    "check": ("check tenants/", "check tenants/ --effective"),
    "copy": ("copy courier.db postgresql://courier@db.example/courier",),
    "demo": ("demo", "demo --examples examples --out /tmp/demo"),
    "doctor": ("doctor tenants/", "doctor tenants/ --db courier.db --json"),
    "drata": ("sandbox drata --user asha@acme.example --port 8080",),
    "erase": (
        "erase --db courier.db --tenant acme --subject emp-7 --by asha --reason 'request 12'",
    ),
    "export": (
        "export --db courier.db --since 2026-01-01 --until 2026-04-01 > first-quarter.csv",
        "export --db courier.db --tenant acme --head",
    ),
    "health": ("health --db courier.db", "health --db courier.db --max-age 1h --json"),
    "import": ("import --config tenants/ --db courier.db old-records/",),
    "invariants": ("invariants --db courier.db --config tenants/",),
    "pause": ("pause --db courier.db --tenant acme --by asha --reason 'audit until Friday'",),
    "prune": ("prune --db courier.db --config tenants/ --retention 'attempts: 400d'",),
    "removals": ("removals --db courier.db --tenant acme",),
    "release": (
        "release --db courier.db acme ev-1 --by asha --reason 'the check is open again'",
        f"release --db courier.db --tenant acme {_MANY} --dry-run",
    ),
    "render": ("render record.json", "render record.json -o ev-1.pdf --fonts fonts/"),
    "resume": ("resume --db courier.db --tenant acme --by asha --reason 'the audit is over'",),
    "retry": (
        "retry --db courier.db acme ev-1 --by asha --reason 'the file is smaller now'",
        f"retry --db courier.db --tenant acme --kind unauthorized {_MANY}",
    ),
    "run": (
        "run --config tenants/ --db courier.db --watch",
        "run --app shop.evidence:courier --listen 127.0.0.1:9464",
        "run --drain",
    ),
    "sandbox": ("sandbox sprinto", "sandbox vanta --pace 50/min"),
    "schema": ("schema tenant", "schema record"),
    "secureframe": ("sandbox secureframe --key key --secret secret --pace 500/min",),
    "show": ("show --db courier.db acme ev-1", "show --db courier.db acme ev-1 --json"),
    "sprinto": (
        "sandbox sprinto --fault reset-after=0.1 --fault status:503=0.2 --pace 10/min",
        "sandbox sprinto --in-review 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
    ),
    "sprinto-rest": ("sandbox sprinto-rest --port 8080",),
    "status": (
        "status --db courier.db --tenant acme",
        "status --db courier.db --status failed --since 2026-02-01 --json",
    ),
    "submit": (
        "submit --config tenants/ --db courier.db records/*.json",
        "submit --config tenants/ --db courier.db --tenant acme --session s-1 --subject emp-7 "
        "--outcome passed --recorded-at 2026-02-21T10:00:00Z ev-1.pdf",
    ),
    "vacuum": ("vacuum --db courier.db",),
    "vanta": ("sandbox vanta --client-id us --key secret --document doc-1",),
    "verify": ("verify --db courier.db", "verify --db courier.db --tenant acme --head heads.json"),
    "watch": ("watch --db courier.db", "watch --db courier.db --tenant acme --every 10"),
    "version": ("version --json",),
}


def epilog(name: str) -> str | None:
    """The end of a command's help, as click sets it."""
    shown = "".join(f"\n  {_within_a_line(one)}" for one in EXAMPLES.get(name, ()))
    return f"\b\nFor example:{shown}" if shown else None


def _within_a_line(example: str) -> str:
    return "\n  ".join(continued(f"{NAME} {example}", _WIDTH))


ENDS = f"""{epilog(NAME)}

Exit codes: 0 done; 1 an upload has failed or is held, nothing was done, or something does not hold:
a command's help says when; 2 usage or configuration; 3 the database; 4 the output could not be
written; 130 and 143 ended by Ctrl-C and by SIGTERM. These end `run`, `watch` and `sandbox`, which
go on until then, with 0; a second one ends `run` with 130 or 143.

\b
A shell completes commands, options, choices and tenants after this line:
  bash  eval "$(_EVIDENCE_COURIER_COMPLETE=bash_source evidence-courier)"
  zsh   eval "$(_EVIDENCE_COURIER_COMPLETE=zsh_source evidence-courier)"
  fish  _EVIDENCE_COURIER_COMPLETE=fish_source evidence-courier | source
"""
"""The end of the help of all commands together."""
