"""The PDF of a training record: what it claims, what stands on it, and what it refuses to show."""

from __future__ import annotations

import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import ContentStream
from training_records import record_as_json

from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.renderers import compiler, typst_renderer
from evidence_courier.adapters.renderers.page import page_of
from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.evidence.evidence import Document, sha256_of
from evidence_courier.domain.evidence.record_json import record_json
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.renderer import Renderer

ROOT = Path(__file__).parents[3]
DEVANAGARI = str(files("fontpkg_noto_sans_devanagari") / "files")


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    renderer = TypstRenderer()
    yield renderer
    renderer.close()


@pytest.fixture(scope="module")
def bare() -> Renderer:
    """With Typst's own fonts alone, whatever is installed."""
    return bare_renderer()


@pytest.fixture(scope="module")
def with_devanagari() -> Iterator[Renderer]:
    renderer = TypstRenderer(fonts=[DEVANAGARI])
    yield renderer
    renderer.close()


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `fonts` is not installed."""
    monkeypatch.setattr(typst_renderer, "installed_fonts", list)


def record(**changes: Any) -> TrainingRecord:
    return load_record(record_as_json(**changes))


def question(**changes: Any) -> dict[str, Any]:
    return {"text": "What do you do?", "answer": "Report it", "score": 1.0, **changes}


def asking_tree(*questions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"title": "Phishing", "score": 0.9, "questions": list(questions)}]


def asking(*questions: dict[str, Any]) -> TrainingRecord:
    return record(modules=asking_tree(*questions))


def pdf_of(renderer: Renderer, record: TrainingRecord) -> bytes:
    document = renderer.render(record)
    assert isinstance(document, Document), document
    assert document.content is not None
    return document.content


def pages_of(renderer: Renderer, record: TrainingRecord) -> list[str]:
    """The text of each page, every stretch of white space one space."""
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, record)))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def refusal(renderer: Renderer, record: TrainingRecord) -> str:
    failure = renderer.render(record)
    assert isinstance(failure, Failure), failure
    assert failure.kind is FailureKind.UNFIT_RENDER
    assert failure.message.startswith(
        "the record of evidence 'ev-1' (tenant 'acme') cannot be made a document: "
    )
    return failure.message.split("document: ", 1)[1]


# What the file is


def test_the_document_is_a_pdf_named_for_its_evidence(renderer: Renderer) -> None:
    document = renderer.render(record())
    assert isinstance(document, Document)
    assert (document.media_type, document.filename) == ("application/pdf", "ev-1.pdf")
    assert document.content is not None
    assert document.content.startswith(b"%PDF-1.7")


def test_it_is_pdf_a_3a_and_pdf_ua_1_and_bears_only_the_records_date(
    renderer: Renderer,
) -> None:
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, record())))
    metadata = reader.xmp_metadata
    assert metadata is not None
    stream = reader.trailer["/Root"]["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in stream
    assert "<pdfuaid:part>1</pdfuaid:part>" in stream
    assert set(re.findall(r"\d{4}-\d\d-\d\dT[\d:]+\w*", stream)) == {"2026-02-21T10:00:03Z"}
    info = dict(reader.metadata or {})
    assert {info["/CreationDate"], info["/ModDate"]} == {"D:20260221100003Z"}
    assert info["/Title"] == "Security attestation: Asha Patel, passed, 2026-02-21"
    assert info["/Author"] == "acme"
    root = reader.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True)
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]


def test_the_issuer_is_the_author_and_the_records_language_the_documents(
    renderer: Renderer,
) -> None:
    made_of = record(issuer="Learnwell", organisation="Acme Ltd", language="pt-BR")
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, made_of)))
    assert (reader.metadata or {})["/Author"] == "Learnwell"
    assert reader.trailer["/Root"]["/Lang"] == "pt-BR"
    text = " ".join(reader.pages[0].extract_text().split())
    assert "Organisation Acme Ltd" in text
    assert "Issued by Learnwell" in text
    only: Any = PdfReader(io.BytesIO(pdf_of(renderer, record(organisation="Acme Ltd"))))
    assert only.metadata["/Author"] == "Acme Ltd"


def test_how_to_check_the_hashes_stands_above_them(renderer: Renderer) -> None:
    (text,) = pages_of(renderer, record())
    assert "compute its SHA-256, such as with “sha256sum record.json”" in text
    assert "The content hash is the training system's own" in text
    (text,) = pages_of(renderer, record(content_hash=None))
    assert "The content hash" not in text


def test_a_title_longer_than_a_pdf_can_say_is_shortened_in_what_it_says(
    renderer: Renderer,
) -> None:
    made_of = record(training__title="word " * 8_000, issuer="long " * 8_000)
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, made_of)))
    info = reader.metadata
    assert info["/Title"].endswith("…: Asha Patel, passed, 2026-02-21")
    assert max(map(len, (info["/Title"], info["/Author"]))) < 350


def test_the_records_own_json_is_attached_as_its_source(renderer: Renderer) -> None:
    made_of = record()
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, made_of)))
    assert dict(reader.attachments) == {"record.json": [record_json(made_of)]}
    (entry,) = reader.trailer["/Root"]["/AF"]
    attached = entry.get_object()
    assert attached["/AFRelationship"] == "/Source"
    assert attached["/EF"]["/F"].get_object()["/Subtype"] == "/application/json"


def test_the_pages_are_a4_and_every_font_is_embedded(renderer: Renderer) -> None:
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, record())))
    for page in reader.pages:
        assert [round(float(side), 1) for side in page.mediabox[2:]] == [595.3, 841.9]
        for font in page["/Resources"]["/Font"].values():
            described = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
            assert {"/FontFile2", "/FontFile3"} & set(described)


# The same record, the same bytes


def test_the_same_record_has_the_same_bytes_at_every_render(renderer: Renderer) -> None:
    first = pdf_of(renderer, record())
    assert pdf_of(renderer, record(employee__name="Somebody Else")) != first
    assert pdf_of(renderer, record()) == first
    assert pdf_of(TypstRenderer(workers=0), load_record(record_json(record()))) == first


def test_the_same_record_has_the_same_bytes_in_any_process(
    renderer: Renderer, tmp_path: Path
) -> None:
    program = (
        "import sys; from evidence_courier.adapters.records import load_record\n"
        "from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer\n"
        "record = load_record(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(TypstRenderer().render(record).content)"
    )
    elsewhere = {
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "1",
        "PYTHONHASHSEED": "7",
    }
    environment = {**os.environ, **elsewhere, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=record_json(record()),
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert sha256_of(done.stdout) == sha256_of(pdf_of(renderer, record()))


def test_many_threads_at_once_get_what_one_gets() -> None:
    renderer = TypstRenderer()
    records = [record(employee__name=f"Employee {number}") for number in range(12)]
    alone = [pdf_of(renderer, each) for each in records]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda each: pdf_of(renderer, each), records))
    renderer.close()
    assert together == alone


# What stands on the pages


def test_everything_that_the_record_says_stands_on_the_page(renderer: Renderer) -> None:
    (text,) = pages_of(renderer, record(outcome__weak_areas=["phishing", "visitors"]))
    for words in [
        "Security attestation",
        "annual · attempt 2 of 3",
        "Passed",
        "86 %",
        "70 % needed to pass",
        "Asha Patel",
        "asha@acme.example",
        "emp-7",
        "21 February 2026, 09:12:00 UTC",
        "21 February 2026, 10:00:03 UTC",
        "visitors",
        "1 Phishing 90 %",
        "A mail asks for your password. What do you do?",
        "Report it",
        "Correct channel.",
        "locale en-GB",
        sha256_of(record_json(record(outcome__weak_areas=["phishing", "visitors"]))),
        "sha256:" + "ab" * 32,
        "Evidence ev-1 Page 1 of 1",
    ]:
        assert words in text


def test_an_exhausted_record_says_so(renderer: Renderer) -> None:
    (text,) = pages_of(renderer, record(outcome__status="exhausted", outcome__score=0.4))
    assert "Attempts exhausted" in text
    assert "Passed" not in text


def test_a_long_module_goes_on_under_its_own_name(renderer: Renderer) -> None:
    asked = [question(text=f"Question number {number}?") for number in range(1, 41)]
    pages = pages_of(renderer, asking(*asked))
    assert len(pages) > 1
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in text
        assert "1 Phishing 90 %" in text or "Question number" not in text
    assert all(f"Question number {number}?" in " ".join(pages) for number in range(1, 41))


def test_a_question_stays_on_one_page_with_its_answer(renderer: Renderer) -> None:
    asked = [
        question(text=f"Asked {n:02}", answer="word " * 60, rationale=f"Judged {n:02}")
        for n in range(30)
    ]
    for text in pages_of(renderer, asking(*asked)):
        assert re.findall(r"Asked (\d\d)", text) == re.findall(r"Judged (\d\d)", text)


@pytest.mark.parametrize(
    "changes",
    [
        {"modules": []},
        {"modules": [{"title": "Read and understood", "score": 1, "questions": []}]},
        {
            "modules": [
                {"title": f"Module {number}", "score": 1, "questions": []} for number in range(70)
            ]
        },
        {"outcome__weak_areas": [f"area {number}" for number in range(30)]},
        {
            "outcome__weak_areas": ["a rather long description of what should be learnt again soon"]
            * 30
        },
        {"training__title": "A title of three hundred characters or so, " * 7},
        {"outcome__score": 0, "outcome__pass_threshold": 1},
        {"generated_at": "0001-01-01T00:00:00Z"},
        {"generated_at": "9999-12-31T23:59:59Z"},
        {"extra": {f"key {number}": {"value": [number] * 200} for number in range(90)}},
        {"employee": {"id": "emp-7"}, "content_hash": None, "extra": {}},
    ],
)
def test_records_of_every_shape_are_rendered(renderer: Renderer, changes: dict[str, Any]) -> None:
    pages = pages_of(renderer, record(**changes))
    assert f"Page 1 of {len(pages)}" in pages[0]


def test_what_is_empty_or_missing_is_called_so(renderer: Renderer) -> None:
    (text,) = pages_of(renderer, asking(question(text="", answer="\n")))
    assert "1.1 not recorded" in text
    assert "Answer none given" in text
    assert "No questions are recorded." in pages_of(renderer, asking())[0]
    assert "No modules are recorded." in pages_of(renderer, record(modules=[]))[0]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples" / "records").glob("*.json")), ids=lambda path: path.stem
)
def test_every_example_is_rendered_with_typsts_own_fonts(renderer: Renderer, path: Path) -> None:
    assert pdf_of(renderer, load_record(path.read_bytes()))


def lines_of(renderer: Renderer, record: TrainingRecord) -> list[str]:
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, record)))
    return [line for page in reader.pages for line in page.extract_text().splitlines()]


@pytest.mark.parametrize(
    "word", ["W" * 400, "https://acme.example/" + "path/" * 80, "0123-" * 80, "β" * 300, "W" * 2500]
)
def test_a_word_without_end_is_broken_wherever_it_stands(renderer: Renderer, word: str) -> None:
    changes = {
        "training__title": word,
        "training__type": word,
        "employee__name": word,
        "session_id": word[:512],
        "outcome__weak_areas": [word],
        "modules": [
            {
                "title": word,
                "score": 1,
                "questions": [question(text=word, answer=word, rationale=word)],
            }
        ],
        "content_hash": "sha256:" + word[:500],
        "extra": {word: word},
    }
    assert max(map(len, lines_of(renderer, record(**changes)))) < 120


def test_an_id_can_be_copied_from_the_page(renderer: Renderer) -> None:
    reader: Any = PdfReader(
        io.BytesIO(pdf_of(renderer, record(session_id="01J9Z3K4M5N6P7Q8R9S0T1V2W3X4Y5Z6")))
    )
    assert "01J9Z3K4M5N6P7Q8R9S0T1V2W3X4Y5Z6" in "".join(reader.pages[0].extract_text().split())
    assert "\u200b" not in reader.pages[0].extract_text()


# Text is data


@pytest.mark.parametrize(
    "words",
    [
        '#eval("1 + 1")',
        "#panic()",
        '#read("/etc/passwd")',
        "#set page(width: 1pt)",
        "$x^2$ $",
        "*bold* _emph_ `raw` ```",
        "@ref <label> = heading",
        "a // comment",
        "a /* comment */ b",
        "back\\slash \\u{41} \\n",
        "]} )(} [{",
        "\"quoted\" 'single' --- ... ~",
        "https://acme.example/x",
    ],
)
def test_markup_in_the_record_is_text_on_the_page(renderer: Renderer, words: str) -> None:
    made_of = record(
        training__title=words,
        employee__name=words,
        tenant_id=words,
        outcome__weak_areas=[words],
        modules=[
            {
                "title": words,
                "score": 1,
                "questions": [question(text=words, answer=words, rationale=words)],
            }
        ],
        extra={words: words},
    )
    reader: Any = PdfReader(io.BytesIO(pdf_of(renderer, made_of)))
    text = " ".join(reader.pages[0].extract_text().split())
    assert len(reader.pages) == 1
    assert text.count(" ".join(words.split())) == 10
    assert (reader.metadata or {})["/Title"] == f"{words}: {words}, passed, 2026-02-21"


@settings(max_examples=40)
@given(
    st.text(
        alphabet=st.characters(max_codepoint=0x24F, exclude_categories=["Cc", "Cs"]), max_size=60
    )
)
def test_any_latin_text_is_rendered(words: str) -> None:
    assert pdf_of(one_renderer(), asking(question(text=words, answer=words[::-1])))


@cache
def one_renderer() -> Renderer:
    return TypstRenderer(workers=0)


# What no font has, and what no font could show


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize("name", ["आशा पटेल", "प्रार्थना"])
def test_devanagari_without_a_font_is_refused_rather_than_set_unjoined(
    bare: Renderer, name: str
) -> None:
    # One of Typst's own fonts has these letters, but not the rules by which they join.
    why = refusal(bare, record(employee__name=name))
    assert why.startswith(f"no font has “{name[0]}” (U+{ord(name[0]):04X} DEVANAGARI LETTER ")
    assert all(f"U+{ord(letter):04X}" in why for letter in set(name) - {" "})
    assert (
        'in employee.name; install the fonts of "evidence-courier[fonts]", or name a folder with a '
        "font that does, with fonts=[...] or --fonts, or write the text without it" in why
    )


def test_devanagari_is_set_with_a_font(with_devanagari: Renderer) -> None:
    made_of = record(
        employee__name="आशा पटेल", training__title="प्रार्थना और ज्ञान", extra={"शहर": "मुंबई"}
    )
    reader: Any = PdfReader(io.BytesIO(pdf_of(with_devanagari, made_of)))
    fonts = {
        font.get_object()["/BaseFont"] for font in reader.pages[0]["/Resources"]["/Font"].values()
    }
    assert any("NotoSansDevanagari" in name for name in fonts)
    assert not any("NewCM" in name for name in fonts)
    assert "और" in reader.pages[0].extract_text()


def test_another_font_changes_nothing_for_a_record_that_does_not_need_it(
    renderer: Renderer, with_devanagari: Renderer
) -> None:
    assert pdf_of(with_devanagari, record()) == pdf_of(renderer, record())


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Łukasz Đặng Ğüneş Þór Şule",
        "Αθηνά Ἀχιλλεύς",
        "Ольга Ђорђевић Ґалаґан Қазыбек",
        "Հայկ",
        "ქეთევან",
        "שרה כהן",
        "محمد",
        "ẹ́ e\u0301 n\u0303 x\u030c",
        "№ ™ € ₹ ½ → ≤ ✓ “quoted” ‘single’ – — …",
        "zero\u200bwidth soft\u00adhyphen join\u200der \ufeff",
        "isolated \u2067שרה\u2069 name",
    ],
)
def test_what_typsts_own_fonts_set_correctly_needs_no_other(renderer: Renderer, name: str) -> None:
    assert pdf_of(renderer, record(employee__name=name))


@pytest.mark.parametrize(
    ("name", "code"),
    [("李雷", "U+674E"), ("สมชาย", "U+0E2A"), ("Sam 🎓", "U+1F393"), ("김", "U+AE40")],
)
def test_a_character_that_no_font_has_is_named(bare: Renderer, name: str, code: str) -> None:
    assert code in refusal(bare, record(employee__name=name))


@pytest.mark.parametrize("name", ["Sam 🎓", "李 🎓", "ሰላም"])
def test_the_extra_is_not_advised_where_its_fonts_do_not_help(bare: Renderer, name: str) -> None:
    why = refusal(bare, record(employee__name=name))
    assert "; name a folder with a font that does, with fonts=[...] or --fonts, or write" in why
    assert "evidence-courier[fonts]" not in why


def test_the_extra_is_not_advised_where_it_is_installed(
    bare: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typst_renderer, "installed_fonts", lambda: ["fonts"])
    assert "evidence-courier[fonts]" not in refusal(bare, record(employee__name="李"))


@pytest.mark.usefixtures("without_the_extra")
def test_each_missing_character_is_named_where_it_stands_up_to_a_limit(bare: Renderer) -> None:
    made_of = record(
        employee__name="李",
        training__title="雷",
        extra={"a": {"b": ["字"]}},
        outcome__weak_areas=["一二三四五六七八九"],
    )
    why = refusal(bare, made_of)
    assert "“李” (U+674E CJK UNIFIED IDEOGRAPH-674E) in employee.name" in why
    assert "in training.title" in why
    assert why.count("U+") == 8
    assert "; and 3 characters more; install the fonts" in why


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("\x00", "U+0000 a control character"),
        ("\x1e", "U+001E a control character"),
        ("\x1f", "U+001F a control character"),
        ("\x7f", "U+007F a control character"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\ue000", "U+E000 no name"),
        ("\uffff", "U+FFFF no name"),
    ],
)
def test_what_no_page_can_show_is_named_in_a_text_and_refused_in_a_title(
    renderer: Renderer, letter: str, name: str
) -> None:
    words = f"a{letter}b"
    (text,) = pages_of(renderer, asking(question(text=words, answer=words, rationale=words)))
    assert text.count(f"a[{name}]b") == 3
    modules = [{"title": "Phishing", "score": 1, "questions": []}] * 2
    modules[1] = {**modules[1], "title": words}
    assert refusal(renderer, record(modules=modules)) == (
        f"it holds what no page can show: {name} in modules[1].title; take that out of the record"
    )


def test_a_free_text_names_the_characters_that_no_font_has(bare: Renderer) -> None:
    for _ in range(2):  # the second time they are known
        made_of = record(
            modules=asking_tree(question(text="Ok? 👍", answer="👍🏽 李", rationale="a 👍")),
            extra={"mood": "👍", "of": ["李"], "bell": "a\x07b", "turned": ["\u202e"]},
        )
        (text,) = pages_of(bare, made_of)
        assert text.count("[U+1F44D THUMBS UP SIGN]") == 4
        assert "[U+1F3FD EMOJI MODIFIER FITZPATRICK TYPE-4] [U+674E CJK UNIFIED IDEOGRAPH" in text
        assert "a[U+0007 a control character]b" in text
        assert "[U+202E RIGHT-TO-LEFT OVERRIDE]" in text


NAMES = {
    "Latin": "Žofie Łukaszewicz-Đặng",
    "Vietnamese": "Nguyễn Thị Ánh",
    "Greek": "Ἀχιλλεύς Παπαδοπούλου",
    "Cyrillic": "Ольга Ђорђевић Қазыбек",
    "Armenian": "Հայկ Պետրոսյան",
    "Georgian": "ქეთევან მეფარიშვილი",
    "Hebrew": "שָׂרָה כהן־לוי",
    "Arabic": "محمد عبد الله",
    "Persian": "گلناز پژمان",
    "Urdu": "ٹیپو ڈاکٹر",
    "Kurdish": "ئۆزدەمیر ڕێبوار",
    "Pashto": "ښکلا ځدراڼ",
    "Uyghur": "ئۇيغۇر",
    "Devanagari": "प्रार्थना पटेल",
    "Bengali": "ঈশ্বরচন্দ্র বন্দ্যোপাধ্যায়",
    "Gurmukhi": "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "Gujarati": "ગુજરાતી પટેલ",
    "Oriya": "ଓଡ଼ିଆ",
    "Tamil": "தமிழ்ச்செல்வன்",
    "Telugu": "తెలుగు శ్రీనివాస్",
    "Kannada": "ಕನ್ನಡ ಶ್ರೀನಿವಾಸ",
    "Malayalam": "മലയാളം ശ്രീനിവാസൻ",
    "Sinhala": "සිංහල ශ්‍රී",
    "Thai": "สมชาย ใจดี น้ำ",
    "Lao": "ສົມຊາຍ",
    "Khmer": "សុខ ភ្នំពេញ",
    "Myanmar": "မောင်မောင်",
    "Tibetan": "བསྟན་འཛིན",
    "Ethiopic": "ሃይለ ሥላሴ",
    "Han": "李雷 陳寶蓮",
    "Japanese": "山田花子 やまだ ハナコ",
    "Korean": "김철수",
    "Cherokee": "ᏣᎳᎩ",
    "Thaana": "ދިވެހި",
    "Emoji": "Sam 🎓",
    "Mathematics": "𝒜 𝔅",
    "Marks": "x̌q̇ ẹ́ A⃝B 1️⃣",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("fonts", ["renderer", "bare"])
def test_a_name_can_be_read_back_or_is_refused_with_a_letter(
    request: pytest.FixtureRequest, fonts: str, name: str
) -> None:
    renderer = request.getfixturevalue(fonts)
    for field in ("employee__name", "training__title", "content_hash"):
        words = f"sha256:{name}" if field == "content_hash" else name
        made_of = record(**{field: words})
        came = renderer.render(made_of)
        if isinstance(came, Failure):
            assert any(f"U+{ord(letter):04X}" in came.message for letter in name)
            assert f" in {field.replace('__', '.')}" in came.message
            continue
        assert came.content is not None
        assert letters_of(words) <= letters_of(read_back(came.content))


@pytest.mark.parametrize("between", [" ", "-", ", ", ""])
@pytest.mark.parametrize("lacking", ["\u06c6", "\u0904", "\U0001f44d", "\u4e00", "\u20f1"])
def test_a_letter_that_no_font_has_does_not_vanish_beside_others(
    bare: Renderer, lacking: str, between: str
) -> None:
    for there in ("ا", "a", "ש", "1"):
        for words in (f"{lacking}{between}{there}", f"{there}{lacking}{between}{there}"):
            for field in ("employee__name", "training__title", "content_hash"):
                given = f"sha256:{words}" if field == "content_hash" else words
                assert f"U+{ord(lacking):04X}" in refusal(bare, record(**{field: given}))


@pytest.mark.parametrize("mark", ["\u0301", "\u0308", "\u064e", "\u0941", "\u20dd"])
@pytest.mark.parametrize("lacking", ["\u4e00", "\u06c6", "\u0e01", "\U0001f44d", "\uab30"])
def test_a_letter_that_no_font_has_does_not_vanish_under_a_mark(
    bare: Renderer, lacking: str, mark: str
) -> None:
    """Typst sets the mark, and says nothing of the letter."""
    assert f"U+{ord(lacking):04X}" in refusal(bare, record(employee__name=f"a {lacking}{mark}"))
    (text,) = pages_of(bare, asking(question(answer=f"a {lacking}{mark}")))
    assert f"[U+{ord(lacking):04X} " in text


# Clusters: each of their letters is in a font, and not all in the same

CLUSTERS = {
    "alef, acute": ("\u0627\u0301", ""),
    "alef, underline, acute": ("\u0627\u0332\u0301", ""),
    "beh, acute, fatha": ("\u0628\u0301\u064e", ""),
    "alef, titlo": ("\u0627\u0483", "U+0483 COMBINING CYRILLIC TITLO"),
    "alef, point of Hebrew": ("\u0627\u05b8", "U+05B8 HEBREW POINT QAMATS"),
    "alef, circle": ("\u0627\u20dd", "U+20DD COMBINING ENCLOSING CIRCLE"),
    "alef, joiner, acute": ("\u0627\u200d\u0301", ""),
    "qof, titlo": ("\u05e7\u0483", ""),
    "bet, fatha": ("\u05d1\u064e", "U+064E ARABIC FATHA"),
    "bet, joiner, selector, acute": ("\u05d1\u200d\ufe0f\u0301", ""),
    "zhe, qamats": ("\u0436\u05b8", ""),
    "omega, arrow": ("\u03c9\u20d7", ""),
    "Georgian man, acute": ("\u10db\u0301", ""),
    "Armenian ayb, key": ("\u0531\u20e3", ""),
    "q, fatha": ("q\u064e", ""),
    "q, acute, dot, circle": ("q\u0301\u0323\u20dd", ""),
    "stacked": ("e\u0302\u0301\u0323", ""),
    "check mark, circle": ("\u2713\u20dd", ""),
}
_LETTERS = "qx\u00df\u03c9\u0416\u0436\u05d1\u05e7\u05e9\u0627\u0628\u0647\u10db\u0531\u2014\u2713"
_MARKS = (
    "\u0301\u0308\u0323\u0332\u0336\u0345\u0483\u0488\u05b8\u0591\u064e\u0651\u20dd\u20e3\u20d7"
    "\u1ab0\u1dc4\ufe20"
)


@pytest.mark.parametrize(("cluster", "lacking"), CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_letter_and_its_mark_are_both_drawn_or_the_mark_is_named(
    bare: Renderer, cluster: str, lacking: str
) -> None:
    free = record(extra={"w": f"Z{cluster}Z"})
    if lacking:
        base = f"“{cluster[0]}” (U+{ord(cluster[0]):04X} {unicodedata.name(cluster[0])})"
        why = refusal(bare, record(employee__name=f"Z{cluster}Z"))
        assert why.startswith(f"no font has {lacking} after {base} in employee.name; ")
        assert f"[{lacking}]" in " ".join(pages_of(bare, free))
        return
    composed = unicodedata.normalize("NFC", cluster)
    letters = [one for one in composed if unicodedata.category(one) != "Cf" and one != "\ufe0f"]
    assert drawn(pdf_of(bare, free), 9.5) - _around() == len(letters) + 2


@settings(max_examples=40)
@given(
    st.sampled_from(_LETTERS),
    st.lists(st.sampled_from(_MARKS), min_size=1, max_size=3, unique=True),
)
def test_no_part_of_a_cluster_vanishes(letter: str, marks: list[str]) -> None:
    """What is drawn is counted: the text that a PDF says of a glyph names what is not there too."""
    cluster = letter + "".join(marks)
    if unicodedata.normalize("NFC", cluster) != cluster or {*"\u05d1\u05e9"} & {letter}:
        marks = [mark for mark in marks if mark in "\u0483\u20d7"]
        cluster = letter + "".join(marks)
    renderer = bare_renderer()
    for field, size in (("training__title", 23), ("extra", 9.5)):
        words = f"Z{cluster}"
        made_of = record(**{field: {"w": words} if field == "extra" else words})
        came = renderer.render(made_of)
        if isinstance(came, Failure):
            assert field == "training__title"
            assert any(f"U+{ord(one):04X}" in came.message for one in cluster)
            continue
        assert came.content is not None
        named = "[U+" in "".join(pages_of(renderer, made_of))
        around = _around() if field == "extra" else 0
        assert drawn(came.content, size) - around > len(cluster) + 15 * named


@cache
def bare_renderer() -> Renderer:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(typst_renderer, "installed_fonts", list)
        return TypstRenderer()


@cache
def _around() -> int:
    """How many glyphs of the same size stand beside what `extra` holds."""
    return drawn(pdf_of(bare_renderer(), record(extra={"w": ""})), 9.5)


def drawn(pdf: bytes, size: float) -> int:
    """How many glyphs of this size in points are in the document."""
    reader: Any = PdfReader(io.BytesIO(pdf))
    found, current = 0, 0.0
    for page in reader.pages:
        stream: Any = ContentStream(page.get_contents(), reader, forced_encoding="bytes")
        for operands, operator in stream.operations:
            if operator == b"Tf":
                current = float(operands[1])
            elif operator in (b"Tj", b"TJ") and current == size:
                runs = operands[0] if operator == b"TJ" else operands
                found += sum(len(run) // 2 for run in runs if isinstance(run, bytes))
    return found


def read_back(pdf: bytes) -> str:
    """The text of the first page, and what the page says of glyphs that stand for several letters,
    which pypdf does not read."""
    page: Any = PdfReader(io.BytesIO(pdf)).pages[0]
    spelt = re.findall(rb"/ActualText<FEFF([0-9A-F]+)>", page.get_contents().get_data())
    return str(page.extract_text()) + "".join(
        bytes.fromhex(one.decode()).decode("utf-16-be") for one in spelt
    )


def letters_of(words: str) -> set[str]:
    """The letters as a reader of PDFs may give them back: in parts, without joiners."""
    parts = unicodedata.normalize("NFKD", words)
    return {one for one in parts if unicodedata.category(one)[0] not in "ZC"} - {"\ufe0f"}


def test_a_record_that_would_take_too_much_memory_is_refused(renderer: Renderer) -> None:
    for large in (
        asking(question(answer="word " * 120_000)),
        asking(*[question()] * 4_000),
        record(outcome__weak_areas=["area"] * 9_000),
        record(modules=[{"title": "M", "score": 1, "questions": []}] * 2_000),
    ):
        assert "600,000 can be set; submit a document of your own" in refusal(renderer, large)


# How it is made


def test_the_fonts_of_the_extra_are_found_by_themselves_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = ("one_font_package", "another_font_package")
    monkeypatch.setattr(typst_renderer, "FONT_PACKAGES", packages)
    monkeypatch.syspath_prepend(str(tmp_path))
    for folder in ((tmp_path / name) for name in packages):
        assert typst_renderer.installed_fonts() == []
        folder.mkdir()
        (folder / "__init__.py").touch()
        importlib.invalidate_caches()
    assert typst_renderer.installed_fonts() == [str(tmp_path / name) for name in packages]


def test_the_extra_names_the_packages_that_are_looked_for() -> None:
    wanted = re.search(r"\nfonts =\n((?:    \S.*\n)+)", (ROOT / "setup.cfg").read_text())
    assert wanted is not None
    names = {line.split()[0].replace("-", "_") for line in wanted[1].splitlines()}
    assert names == set(typst_renderer.FONT_PACKAGES)


def test_of_two_folders_the_first_given_decides(tmp_path: Path) -> None:
    """Also if their names, or the families', are in another order, and a font is a link."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (linked,) = Path(DEVANAGARI).glob("*.ttf")
    (tmp_path / "b" / "z.ttf").symlink_to(linked)
    renamed = linked.read_bytes().replace(
        "Noto Sans Devanagari".encode("utf-16-be"), "Zoto Sans Devanagari".encode("utf-16-be")
    )
    (tmp_path / "a" / "a.ttf").write_bytes(renamed)
    for folders, first in (("ba", "Noto"), ("ab", "Zoto")):
        made = compiler.Compiler([str(tmp_path / one) for one in folders])
        assert made.families[0] == f"{first} Sans Devanagari"
        assert len(made.families) == 2


def test_missing_fonts_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=f"{tmp_path / 'none'} is not a folder"):
        TypstRenderer(fonts=[tmp_path / "none"])
    with pytest.raises(MisuseError, match=f"no font is in {tmp_path}"):
        TypstRenderer(fonts=[tmp_path])


def test_without_typst_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(MisuseError, match=r'pip install "evidence-courier\[pdf\]"'):
        TypstRenderer()


def test_after_the_close_nothing_is_rendered() -> None:
    renderer = TypstRenderer()
    renderer.close()
    renderer.close()
    with pytest.raises(MisuseError, match="the renderer is closed"):
        renderer.render(record())


def test_a_compiler_survives_a_page_that_is_none() -> None:
    here = compiler.Compiler()
    for page in ({}, {"facts": object()}, page_of(record(), b"{}") | {"title": 7}):
        with pytest.raises((compiler.CannotBeSet, TypeError)):
            here.compile(page, b"{}")
    assert here.compile(page_of(record(), b"{}"), b"{}").startswith(b"%PDF")


@pytest.mark.parametrize("template", [None, b"#panic()", b'#set document(title: "Newer")'])
@pytest.mark.parametrize("during", [False, True])
def test_an_upgrade_under_a_running_host_changes_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: bytes | None, during: bool
) -> None:
    """Also if the template's file is replaced between a look at it and its reading by Typst."""
    file = tmp_path / "renderers" / "training_record.typ"
    file.parent.mkdir()
    file.write_bytes((Path(compiler.__file__).parent / file.name).read_bytes())
    monkeypatch.setattr(compiler, "_TEMPLATE", compiler.Template(file))
    here, page = compiler.Compiler(), page_of(record(), b"{}")
    before = here.compile(page, b"{}")

    def upgrade() -> None:
        if template is None:
            shutil.rmtree(file.parent, ignore_errors=True)
        else:
            file.write_bytes(template)

    if during:
        made = here._made  # pyright: ignore[reportPrivateUsage]

        def upgraded_first(data: Any) -> Any:
            upgrade()
            return made(data)

        monkeypatch.setattr(here, "_made", upgraded_first)
    else:
        upgrade()
    assert here.compile(page, b"{}") == before
    assert here.compile(page, b"{}") == before


def test_a_thread_that_renders_does_not_hold_up_the_loop() -> None:
    """Typst releases the interpreter's lock: while it compiles, this thread goes on."""
    renderer = TypstRenderer(workers=1)
    large = asking(*(question(text=f"Question {number}?") for number in range(400)))
    pdf_of(renderer, record())
    with ThreadPoolExecutor(1) as threads:
        rendering, steps = threads.submit(renderer.render, large), 0
        while not rendering.done():
            steps += 1
            threading.Event().wait(0.001)
    assert steps > 20
