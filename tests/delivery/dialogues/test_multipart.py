"""Form bodies: read back by parsers that are not ours."""

from __future__ import annotations

import email.policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.dialogues.multipart import (
    FormField,
    FormFile,
    boundary_for,
    form_data,
)


def parts_of(content_type: str, body: tuple[bytes, ...]) -> list[EmailMessage]:
    """The parts of a form, as the standard library's mail parser reads them."""
    whole = f"Content-Type: {content_type}\r\n\r\n".encode() + b"".join(body)
    message = BytesParser(policy=email.policy.HTTP).parsebytes(whole)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    parts = list(message.iter_parts())
    assert all(isinstance(part, EmailMessage) for part in parts)
    return [part for part in parts if isinstance(part, EmailMessage)]


def content_of(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def test_fields_and_files_come_out_in_order_with_their_names_and_types() -> None:
    field, file = parts_of(
        *form_data(
            [FormField("map", '{"0": []}'), FormFile("0", "ev-1.pdf", "application/pdf", b"%PDF")],
            "s",
        )
    )
    assert field.get_param("name", header="Content-Disposition") == "map"
    assert content_of(field) == b'{"0": []}'
    assert file.get_param("name", header="Content-Disposition") == "0"
    assert file.get_filename() == "ev-1.pdf"
    assert file.get_content_type() == "application/pdf"
    assert content_of(file) == b"%PDF"


def test_a_files_bytes_are_not_copied() -> None:
    content = b"x" * 100_000
    _, body = form_data([FormFile("0", "a.pdf", "application/pdf", content)], "s")
    assert any(piece is content for piece in body)


def test_the_same_form_gives_the_same_bytes() -> None:
    def form() -> tuple[str, tuple[bytes, ...]]:
        return form_data([FormFile("0", "a.pdf", "application/pdf", b"%PDF")], "seed")

    assert form() == form()
    assert (
        form()[0] != form_data([FormFile("0", "a.pdf", "application/pdf", b"%PDF")], "another")[0]
    )


def test_a_boundary_that_stands_in_the_content_is_not_used() -> None:
    first = boundary_for("seed", [])
    second = boundary_for("seed", [f"before {first} after".encode()])
    assert second not in (first, "")
    assert boundary_for("seed", [first.encode(), f"\r\n--{second}".encode()]) not in (first, second)
    file = FormFile("0", "a.pdf", "application/pdf", first.encode())
    assert form_data([file], "seed")[0] == f"multipart/form-data; boundary={second}"
    assert (
        form_data([FormField("a", first)], "seed")[0] == f"multipart/form-data; boundary={second}"
    )


@pytest.mark.parametrize(
    "name", ['a"; filename="b', "a\r\nX-Header: b", "a\r\n\r\nbody", "a\x00b", "a\\", "ä.pdf"]
)
def test_a_name_cannot_leave_its_quotation_marks(name: str) -> None:
    (part,) = parts_of(*form_data([FormFile("0", name, "application/pdf", b"%PDF")], "s"))
    assert set(part.keys()) == {"Content-Disposition", "Content-Type"}
    assert content_of(part) == b"%PDF"


def test_a_media_type_that_would_leave_its_line_is_a_bug() -> None:
    with pytest.raises(ValueError, match="media type"):
        form_data([FormFile("0", "a.pdf", "application/pdf\r\nX: y", b"")], "s")


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.text())
def test_any_bytes_come_out_as_they_went_in(contents: list[bytes], seed: str) -> None:
    files = [
        FormFile(str(at), "a.bin", "application/pdf", content)
        for at, content in enumerate(contents)
    ]
    content_type, body = form_data(files, seed)
    boundary = content_type.partition("boundary=")[2].encode()
    pieces = b"".join((b"\r\n", *body)).split(b"\r\n--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    assert [piece.partition(b"\r\n\r\n")[2] for piece in pieces[1:-1]] == contents
