"""The part of Sprinto's GraphQL schema that evidence needs, executed for real by graphql-core.

The mutation `uploadWorkflowCheckEvidence` with its three arguments and the query
`workflowChecksPaginated` are documented by Sprinto at developer.sprinto.com. The selection `message
workflowCheck { evidenceStatus }` and the word UPLOAD_COMPLETE are third-party claims; the enum's
other members are unknown. That a query which does not parse or fit the schema gets HTTP 400, and
every other GraphQL error HTTP 200, is inferred from what GraphQL servers usually do.

This module alone imports graphql-core, which comes with the extra `sandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID

from attrs import frozen

from .bodies import BadRequestError, UploadedFile
from .replies import Reply

try:
    import graphql
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "the provider sandboxes execute real GraphQL and need graphql-core, "
        'which comes with an extra: pip install "evidence-courier[sandbox]"',
        name=missing.name,
    ) from missing

Schema = graphql.GraphQLSchema

_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?"
)


@frozen
class EvidenceDate:
    """A DateTime argument: as it was written, and the day that it names in UTC."""

    text: str
    day: date


@frozen
class CheckPage:
    """One page of workflow checks: each has its cursor, and `pk`, `title` and `evidenceStatus`."""

    total: int
    checks: Sequence[tuple[str, Mapping[str, object]]]
    more: bool


class CheckDesk(Protocol):
    """The other side of the schema. An exception of a method becomes a GraphQL error with the
    same words."""

    def upload(
        self, pk: str, evidence_date: EvidenceDate, file: UploadedFile
    ) -> Mapping[str, object]:
        """Take an evidence for a check; the check afterwards."""
        ...

    def page(self, first: int | None, after: str | None) -> CheckPage:
        """The checks that stand behind the cursor `after`, `first` of them at most."""
        ...


def any_uuid_text(value: object) -> str:
    """A pk need not look like a UUID: the samples in Sprinto's documentation do not."""
    if not isinstance(value, str) or not value.strip():
        raise graphql.GraphQLError("UUID cannot represent a value that is not text, or is empty")
    return value


def strict_uuid(value: object) -> str:
    """A pk must be a UUID."""
    text = any_uuid_text(value)
    try:
        UUID(text)
    except ValueError as error:
        raise graphql.GraphQLError("UUID cannot represent a text that is not a UUID") from error
    return text


def _date_time(value: object) -> EvidenceDate:
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise graphql.GraphQLError(
            "DateTime should be YYYY-MM-DD, or a full ISO 8601 time with its offset"
        )
    try:
        if len(value) == len("YYYY-MM-DD"):
            return EvidenceDate(value, date.fromisoformat(value))
        return EvidenceDate(value, datetime.fromisoformat(value).astimezone(UTC).date())
    except (ValueError, OverflowError) as error:
        raise graphql.GraphQLError("DateTime should be a day that exists") from error


def _upload(value: object) -> UploadedFile:
    if not isinstance(value, UploadedFile):
        raise graphql.GraphQLError("Upload should be a file of a multipart request")
    return value


def build_sprinto_schema(parse_uuid: Callable[[object], str]) -> Schema:
    """The schema; its resolvers talk to the `CheckDesk` in the context. `parse_uuid` says what a
    UUID is."""
    must, argument = graphql.GraphQLNonNull, graphql.GraphQLArgument
    text, whole = graphql.GraphQLString, graphql.GraphQLInt
    uuid = must(graphql.GraphQLScalarType("UUID", parse_value=parse_uuid))
    moment = must(graphql.GraphQLScalarType("DateTime", parse_value=_date_time))
    file = must(graphql.GraphQLScalarType("Upload", parse_value=_upload))
    status = graphql.GraphQLEnumType("EvidenceStatus", {"UPLOAD_COMPLETE": "UPLOAD_COMPLETE"})
    check = _output("WorkflowCheck", pk=uuid, title=must(text), evidenceStatus=status)
    payload = _output("UploadWorkflowCheckEvidence", message=text, workflowCheck=check)
    page_info = _output("PageInfo", hasNextPage=must(graphql.GraphQLBoolean), endCursor=text)
    edge = _output("WorkflowCheckEdge", cursor=must(text), node=must(check))
    connection = _output(
        "WorkflowCheckConnection",
        totalCount=must(whole),
        edges=must(graphql.GraphQLList(must(edge))),
        pageInfo=must(page_info),
    )
    arguments = {
        "workflowCheckPk": argument(uuid),
        "evidenceRecordDate": argument(moment),
        "evidenceFile": argument(file),
    }
    mutation = graphql.GraphQLField(payload, arguments, resolve=_resolve_upload)
    paging = {"first": argument(whole), "after": argument(text)}
    query = graphql.GraphQLField(connection, paging, resolve=_resolve_page)
    return Schema(
        query=graphql.GraphQLObjectType("Query", {"workflowChecksPaginated": query}),
        mutation=graphql.GraphQLObjectType("Mutation", {"uploadWorkflowCheckEvidence": mutation}),
    )


def _output(name: str, **types: Any) -> graphql.GraphQLObjectType:
    fields = {field: graphql.GraphQLField(kind) for field, kind in types.items()}
    return graphql.GraphQLObjectType(name, fields)


def _resolve_upload(
    root: object,
    info: graphql.GraphQLResolveInfo[CheckDesk],
    workflowCheckPk: str,
    evidenceRecordDate: EvidenceDate,
    evidenceFile: UploadedFile,
) -> Mapping[str, object]:
    check = info.context.upload(workflowCheckPk, evidenceRecordDate, evidenceFile)
    return {"message": "Evidence uploaded for this check", "workflowCheck": check}


def _resolve_page(
    root: object,
    info: graphql.GraphQLResolveInfo[CheckDesk],
    first: int | None = None,
    after: str | None = None,
) -> Mapping[str, object]:
    page = info.context.page(first, after)
    return {
        "totalCount": page.total,
        "edges": [{"cursor": cursor, "node": check} for cursor, check in page.checks],
        "pageInfo": {
            "hasNextPage": page.more,
            "endCursor": page.checks[-1][0] if page.checks else None,
        },
    }


def execute(schema: Schema, operations: Mapping[str, object], desk: CheckDesk) -> Reply:
    """Execute one GraphQL request, `operations` being its `query`, `variables` and `operationName`.

    Raises BadRequestError if it is not a GraphQL request at all.
    """
    query, variables, name = map(operations.get, ("query", "variables", "operationName"))
    if not isinstance(query, str) or not query.strip():
        raise BadRequestError("A GraphQL request needs a 'query'.")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequestError("'variables' of a GraphQL request should be an object.")
    if name is not None and not isinstance(name, str):
        raise BadRequestError("'operationName' of a GraphQL request should be a string.")
    try:
        document = graphql.parse(query)
        errors = graphql.validate(schema, document)
    except graphql.GraphQLSyntaxError as error:
        return _refused([error])
    except RecursionError as error:
        raise BadRequestError("The query is nested too deeply.") from error
    if errors:
        return _refused(errors)
    result = graphql.execute_sync(
        schema, document, context_value=desk, variable_values=variables, operation_name=name
    )
    return Reply.json(200, result.formatted)


def _refused(errors: Sequence[graphql.GraphQLError]) -> Reply:
    return Reply.json(400, {"errors": [error.formatted for error in errors]})
