"""What every document source owes: the kit for the `DocumentSource` port.

class TestMySource(DocumentSourceContract):
    def source(self, documents: Mapping[tuple[str, str], bytes]) -> DocumentSource:
        return MySource(FakeBucket(documents))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ...ports.source import DocumentSource
from .assertions import must

_DOCUMENTS = {
    ("acme", "report.pdf"): b"%PDF of acme",
    ("acme", "empty"): b"",
    ("acme", "every byte"): bytes(range(256)) * 1_000 + b"\r\n\x1a",
    ("acme", "2026/02/report.pdf"): b"%PDF of february",
    ("acme", "Ünï \U0001d49c"): b"%PDF with a name",
    ("globex", "report.pdf"): b"%PDF of globex",
    ("globex", "theirs"): b"%PDF of globex alone",
}


class DocumentSourceContract(ABC):
    """The rules for a document source. Give it `source`."""

    @abstractmethod
    def source(self, documents: Mapping[tuple[str, str], bytes]) -> DocumentSource:
        """A source, new, that holds these documents, by tenant id and key, and no others."""

    def test_a_document_is_given_as_it_is(self) -> None:
        source = self.source(_DOCUMENTS)
        for (tenant_id, key), content in _DOCUMENTS.items():
            if tenant_id == "acme":
                _given(source, tenant_id, key, content)

    def test_each_tenant_has_its_own_under_the_same_key(self) -> None:
        source = self.source(_DOCUMENTS)
        for tenant_id in ("globex", "acme"):
            _given(source, tenant_id, "report.pdf", _DOCUMENTS[tenant_id, "report.pdf"])

    def test_what_is_gone_is_a_lookup_error(self) -> None:
        source = self.source(_DOCUMENTS)
        for tenant_id, key in (
            ("acme", "nothing"),
            ("unknown", "report.pdf"),
            ("acme", "report"),
            ("acme", "REPORT.PDF"),
        ):
            _gone(source, tenant_id, key)

    def test_no_tenant_reads_anothers(self) -> None:
        source = self.source(_DOCUMENTS)
        for tenant_id, key in (
            ("acme", "theirs"),
            ("acme", "globex/theirs"),
            ("acme", "../globex/theirs"),
            ("", "globex/theirs"),
        ):
            _refused(source, tenant_id, key)

    def test_no_key_leads_out_of_the_source(self) -> None:
        source = self.source(_DOCUMENTS)
        for key in (
            "/etc/passwd",
            "../../../../../../etc/passwd",
            "file:///etc/passwd",
            ".",
            "..",
            "",
            "*",
            "%",
        ):
            _refused(source, "acme", key)

    def test_it_may_be_read_from_several_threads(self) -> None:
        source = self.source(_DOCUMENTS)
        keys = [key for key in _DOCUMENTS if key[0] == "acme"] * 10
        with ThreadPoolExecutor(4) as threads:
            contents = list(threads.map(lambda key: source.read(*key), keys))
        must(
            contents == [_DOCUMENTS[key] for key in keys],
            "threads read something else than was asked for",
        )


def _given(source: DocumentSource, tenant_id: str, key: str, content: bytes) -> None:
    read = source.read(tenant_id, key)
    must(type(read) is bytes, f"{key!r} is given as {type(read).__name__}, not as bytes")
    must(read == content, f"{key!r} of {tenant_id!r} is given as {len(read)} other bytes")


def _gone(source: DocumentSource, tenant_id: str, key: str) -> None:
    try:
        source.read(tenant_id, key)
    except (LookupError, FileNotFoundError):
        return
    except Exception as error:
        raise AssertionError(
            f"{key!r} of {tenant_id!r}, which is gone, raises {error!r}: it would be tried again "
            "for ever"
        ) from error
    raise AssertionError(f"{key!r} of {tenant_id!r}, which is gone, is given all the same")


def _refused(source: DocumentSource, tenant_id: str, key: str) -> None:
    try:
        source.read(tenant_id, key)
    except Exception:
        return
    raise AssertionError(f"tenant {tenant_id!r} is given something under the key {key!r}")
