"""Draws docs/demo.svg: runs the demo on a terminal of 110 columns that records what it is shown.

.venv/bin/python docs/make_demo_picture.py
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 110


def shown() -> str:
    """What a person sees of the demo, escape sequences included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).parent / "evidence-courier"),
            "demo",
            "--out",
            f"{folder}/demo",
        ]
        parent, child = pty.openpty()
        environment = {
            **os.environ,
            "COLUMNS": str(COLUMNS),
            "LINES": "60",
            "TERM": "xterm-256color",
        }
        with subprocess.Popen(
            command, stdout=child, stderr=child, cwd=HERE.parent, env=environment
        ) as process:
            os.close(child)
            pieces = []
            while True:
                try:
                    piece = os.read(parent, 4096)
                except OSError:
                    break
                if not piece:
                    break
                pieces.append(piece)
        os.close(parent)
        if process.returncode != 0:
            raise SystemExit("the demo does not hold; no picture is drawn of that")
        return b"".join(pieces).decode().replace("\r\n", "\n").replace(folder, "var")


def main() -> None:
    """Run the demo and draw it."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", shown())
    console.print(Text.from_ansi("$ make demo\n" + text.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="make demo", unique_id="demo")
    # The fonts would be fetched from elsewhere; any monospaced font of the reader's will do.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (HERE / "demo.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
