"""The sandboxes come with an extra, and say so where it is missing."""

from __future__ import annotations

import subprocess
import sys


def test_without_graphql_core_the_import_names_the_extra() -> None:
    program = "import sys; sys.modules['graphql'] = None; import evidence_courier.testing.sandboxes"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'pip install "evidence-courier[sandbox]"' in done.stderr.splitlines()[-1]
