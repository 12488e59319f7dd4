"""What the commands that read tenant files have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ...adapters.config import DEFAULT_BLOCK, Loaded, load_folder
from ...adapters.plugins import discover_providers
from ...adapters.secrets.environ import EnvironSecrets
from ...adapters.secrets.files import FOLDERS, FileSecrets
from ..tenants import Providers
from .exits import USAGE
from .output import is_terminal


def load(
    folder: str,
    block: str = DEFAULT_BLOCK,
    secret_folders: Sequence[str] = FOLDERS,
) -> tuple[Loaded, Providers]:
    """The tenants in a folder, and the providers that they may name."""
    providers = discover_providers()
    secrets = FileSecrets(EnvironSecrets(), secret_folders)
    loaded = load_folder(folder, providers=providers, secrets=secrets, block=block)
    return loaded, providers


def tenants_in(loaded: Loaded) -> list[str]:
    """Every tenant that a file is for, be it valid or not."""
    return sorted({*loaded.integrations, *loaded.without, *loaded.broken})


def end_with_problems(loaded: Loaded) -> None:
    """Print what was passed over. If a file is invalid or there is none, print every problem and
    exit with the code for that."""
    if is_terminal() and (loaded.warnings or loaded.problems):
        click.echo(err=True)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in loaded.problems:
        click.echo(str(problem), err=True)
    if loaded.problems or not tenants_in(loaded):
        sys.exit(USAGE)
