"""The pictures of the states in the documentation are those of the code."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

DOCS = Path(__file__).parents[2] / "docs"
WIDTH_OF_A_LETTER = 0.62  # of the font's size: the broad side of the fonts that a reader may have
SIZES = {"title": 17, "state": 15, "event": 12, "note": 12}
SVG = "{http://www.w3.org/2000/svg}"


def test_the_state_diagram_is_what_the_code_says() -> None:
    run = subprocess.run(
        [sys.executable, DOCS / "make_state_diagram.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def space_of(element: ElementTree.Element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text, as wide as it may become."""
    size = SIZES[element.attrib["class"].split()[0]]
    width = len(element.text or "") * size * WIDTH_OF_A_LETTER
    x, y = float(element.attrib["x"]), float(element.attrib["y"])
    left = x - width / 2 if element.attrib["text-anchor"] == "middle" else x
    return left, y - size * 0.8, left + width, y + size * 0.2


def test_no_two_texts_of_the_picture_run_into_one_another_or_off_the_paper() -> None:
    root = ElementTree.parse(DOCS / "upload-states.svg").getroot()
    texts = [(element.text, space_of(element)) for element in root.iter(f"{SVG}text")]
    assert len(texts) > 40
    for number, (name, (left, top, right, bottom)) in enumerate(texts):
        assert 0 < left and right < 800, f"{name} runs off the paper"
        for other, (left2, top2, right2, bottom2) in texts[:number]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, f"{name} runs into {other}"


def test_the_picture_brings_its_own_paper_and_loads_nothing() -> None:
    svg = (DOCS / "upload-states.svg").read_text(encoding="utf-8")
    assert 'class="paper"' in svg
    assert svg.count("http") == 1, "the namespace, and no address of anything else"
