"""What the commands that read tenant files have in common."""

from __future__ import annotations

import sys

import click
from attrs import evolve

from ...adapters.config import NO_TENANT_FILE, Loaded
from ...domain.errors import Problem
from ..tenants import Providers
from .exits import USAGE
from .output import is_terminal
from .place import Place
from .saying import say


def valid_tenants(place: Place, *, without_secrets: bool = False) -> Loaded:
    """The tenants of a place. If a file is invalid, what it says is not known: print every problem
    and exit with the code for that."""
    loaded, _ = place.tenants(without_secrets=without_secrets)
    for problem in loaded.problems:
        say(str(problem))
    if loaded.problems:
        sys.exit(USAGE)
    return loaded


def tenants_in(loaded: Loaded) -> list[str]:
    """Every tenant that a file is for, be it valid or not."""
    return sorted({*loaded.integrations, *loaded.without, *loaded.broken})


def tenants_of(place: Place, *, without_secrets: bool = False) -> tuple[Loaded, Providers]:
    """The tenants of a place, for a command that is about them: to have no file is a problem then,
    and not a warning as for a courier."""
    loaded, providers = place.tenants(without_secrets=without_secrets)
    if not (loaded.problems or tenants_in(loaded)):
        none = tuple(one for one in loaded.warnings if one.text == NO_TENANT_FILE)
        others = tuple(one for one in loaded.warnings if one not in none)
        loaded = evolve(loaded, problems=none or (Problem("there is no tenant"),), warnings=others)
    return loaded, providers


def end_with_problems(loaded: Loaded, *, quiet: bool = False) -> None:
    """Print what was passed over, and if a file is invalid or none exists, every problem; then exit
    with the code for that. `quiet`: they are printed already."""
    lines = [*(f"warning: {one}" for one in loaded.warnings), *map(str, loaded.problems)]
    if is_terminal() and lines and not quiet:
        click.echo(err=True)
    for line in () if quiet else lines:
        say(line)
    if loaded.problems:
        sys.exit(USAGE)
