"""Everything that the author of a provider imports, in one place.

The names in `__all__` are stable (docs/write-a-provider.md says what that means): the port and its
capabilities; the dialogue; verdicts, findings, dry runs and failures; and building blocks.

The folders are the platforms that come with the package. A provider knows nothing of the others;
what they share is in `delivery/dialogues/`.
"""

from ...delivery.dialogues.graphql_multipart import graphql_upload
from ...delivery.dialogues.graphql_reply import GraphQLError, GraphQLReply, read_graphql
from ...delivery.dialogues.http_errors import (
    ErrorHints,
    RequestPurpose,
    broken_reading,
    broken_reply,
    classify,
    failure_to_read,
    not_json,
    refusal,
    throttled,
    unrecognised,
)
from ...delivery.dialogues.json_reply import NotJson, mapping, parse_json, text
from ...delivery.dialogues.multipart import FormField, FormFile, form_data
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
    Processing,
    Ready,
    Receipt,
    Refused,
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
    Mask,
    MintedToken,
    Now,
    Reply,
    TransportFailure,
    access,
    bookmark,
    fetch,
    mask,
    now,
)
from ...ports.provider import (
    Advising,
    Bundle,
    Bundling,
    CanLookUp,
    Checkable,
    Limits,
    Parcel,
    Provider,
    Recognising,
    Selecting,
)

__all__ = ["Absent", "Access", "AccessToken", "Advising", "Bookmark", "Bundle", "Bundling"]
__all__ += ["CanLookUp", "Checkable", "Deferred", "Delivered", "Dialogue", "DryRun", "Ending"]
__all__ += ["ErrorHints", "Failure", "FailureKind", "Finding", "FormField", "FormFile", "Found"]
__all__ += ["GraphQLError", "GraphQLReply", "Headers", "HttpRequest", "HttpResponse", "Limits"]
__all__ += ["Mask", "MintedToken", "NotJson", "NotReady", "Now", "Outcome", "Pace", "Parcel"]
__all__ += ["Partly", "Processing", "Provider", "Ready", "Receipt", "Recognising", "Refused"]
__all__ += ["Rejected", "Reply", "RequestPurpose", "Secret", "Selecting", "TransportFailure"]
__all__ += ["Unbundled", "Unclear", "Unreadable", "Verdict", "access", "bookmark", "broken_reading"]
__all__ += ["broken_reply", "classify", "failure_to_read", "fetch", "form_data", "graphql_upload"]
__all__ += ["mapping", "mask", "not_json", "now", "parse_json", "read_graphql", "refusal", "text"]
__all__ += ["throttled", "unrecognised"]
