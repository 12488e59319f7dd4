"""Contract kits: what every adapter of a port owes, as tests that its author inherits.

Subclass the kit of your port in a test file, give it your adapter, and run pytest or unittest over
it:

    class TestMyStore(StoreContract):
        def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
            return MyStore(folder, keep_documents=keep_documents)

Each rule is a method whose name says it; its failure says in words what does not hold. The kits
import neither pytest nor Hypothesis; the state machine for stores is in `store_machine`, which
needs the extra `testing`. `broken_rules` runs a kit without any test runner.
"""

from .assertions import broken_rules, rules_of
from .clock import ClockContract
from .logger import LoggerContract, LoggerHarness
from .provider import ProviderContract, ProviderHarness, sample_parcel
from .renderer import RendererContract, sample_record
from .secrets import SecretsContract
from .source import DocumentSourceContract
from .store import StoreContract
from .transport import BlockingTransportContract, TransportContract

__all__ = [
    "BlockingTransportContract",
    "ClockContract",
    "DocumentSourceContract",
    "LoggerContract",
    "LoggerHarness",
    "ProviderContract",
    "ProviderHarness",
    "RendererContract",
    "SecretsContract",
    "StoreContract",
    "TransportContract",
    "broken_rules",
    "rules_of",
    "sample_parcel",
    "sample_record",
]
