"""What every provider owes, asked of this one: the package's kit, with the platform that these
tests have anyway."""

from __future__ import annotations

from evidence_courier_ledgerly import LedgerlyProvider
from ledgerly_platform import SECRET, Ledgerly

from evidence_courier.testing.contracts import ProviderContract, ProviderHarness


class TestLedgerly(ProviderContract):
    """Each conversation of the kit is with a new platform."""

    def harness(self) -> ProviderHarness:
        """A token and the filing may be asked for again; a document that is posted again is
        another one."""
        platform = Ledgerly()
        return ProviderHarness(
            provider=LedgerlyProvider(),
            settings={
                "client_id": "acme",
                "client_secret": "${LEDGERLY_SECRET}",
                "ledger": "security-training",
                "endpoint": "http://127.0.0.1:9",
            },
            answer=platform.answer,
            secrets={"LEDGERLY_SECRET": SECRET},
            repeatable=lambda request: request.url.endswith(("/file", "/oauth/token")),
            copies=platform.copies,
        )
