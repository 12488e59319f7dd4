"""Stand-ins for the providers' APIs on your own machine: a courier meets them before the real ones.

    async with SprintoSandbox(faults=["reset-after=0.1", "status:503=0.2"], pace="10/min") as
    sandbox:
        ...  # deliver to sandbox.url with the key "sandbox-key"
        sandbox.copies(document_sha256)  # how many copies does the provider hold now?

A sandbox keeps what it took, never the key that it came with; it misbehaves as a `FaultPlan` says,
the same way for the same seed; and it serves the loopback interface only. `sandbox_in_thread`
serves code that is not asynchronous. It needs the extra `sandbox`: `pip install
"evidence-courier[sandbox]"`.
"""

from .drata import DrataSandbox
from .plans import Fault, FaultPlan, fault_kinds, parse_fault
from .rates import RateLimit, parse_pace
from .received import ReceivedUpload
from .secureframe import SecureframeSandbox
from .server import Sandbox
from .sprinto import SprintoSandbox
from .sprinto_rest import SprintoRestSandbox
from .threads import sandbox_in_thread
from .vanta import VantaSandbox

__all__ = [
    "DrataSandbox",
    "Fault",
    "FaultPlan",
    "RateLimit",
    "ReceivedUpload",
    "Sandbox",
    "SecureframeSandbox",
    "SprintoRestSandbox",
    "SprintoSandbox",
    "VantaSandbox",
    "fault_kinds",
    "parse_fault",
    "parse_pace",
    "sandbox_in_thread",
]
