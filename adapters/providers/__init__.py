"""Everything that the author of a provider needs, in one place: ``from
evidence_courier.adapters.providers import ...``.

The names in `__all__` are stable (docs/write-a-provider.md says what that means):

- the port: `Provider`, what only some can do (`CanLookUp`, `Checkable`, `Bundling`), and what goes
  in
- the dialogue, in which a provider talks to its API without doing any I/O
- the verdicts, findings and dry runs that come out, and the failures in them
- building blocks: forms, the table of what an HTTP reply comes to, JSON and GraphQL that may be
  anything

The modules of this folder are the platforms that come with the package, one module each, and those
building blocks. A provider knows nothing of the others.
"""

from ...domain.evidence.evidence import Outcome
from ...domain.integration import Pace
from ...domain.secrets.secret import Secret
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    DryRun,
    Finding,
    Found,
    NotReady,
    Partly,
    Ready,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from ...ports.dialogue import (
    Access,
    AccessToken,
    Bookmark,
    Dialogue,
    Ending,
    Headers,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    bookmark,
    fetch,
)
from ...ports.provider import Bundle, Bundling, CanLookUp, Checkable, Limits, Parcel, Provider
from .kit.graphql_multipart import graphql_upload
from .kit.graphql_reply import GraphQLError, GraphQLReply, read_graphql
from .kit.http_errors import (
    ErrorHints,
    RequestPurpose,
    broken_reading,
    broken_reply,
    classify,
    failure_to_read,
    not_json,
    refusal,
    throttled,
)
from .kit.json_reply import NotJson, mapping, parse_json, text
from .kit.multipart import FormField, FormFile, form_data

__all__ = [
    "Absent",
    "Access",
    "AccessToken",
    "Bookmark",
    "Bundle",
    "Bundling",
    "CanLookUp",
    "Checkable",
    "Deferred",
    "Delivered",
    "Dialogue",
    "DryRun",
    "Ending",
    "ErrorHints",
    "Failure",
    "FailureKind",
    "Finding",
    "FormField",
    "FormFile",
    "Found",
    "GraphQLError",
    "GraphQLReply",
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "Limits",
    "MintedToken",
    "NotJson",
    "NotReady",
    "Outcome",
    "Pace",
    "Parcel",
    "Partly",
    "Provider",
    "Ready",
    "Receipt",
    "Rejected",
    "RequestPurpose",
    "Secret",
    "TransportFailure",
    "Unbundled",
    "Unclear",
    "Unreadable",
    "Verdict",
    "access",
    "bookmark",
    "broken_reading",
    "broken_reply",
    "classify",
    "failure_to_read",
    "fetch",
    "form_data",
    "graphql_upload",
    "mapping",
    "not_json",
    "parse_json",
    "read_graphql",
    "refusal",
    "text",
    "throttled",
]
