"""The pages of the service."""

from __future__ import annotations

import json

from attrs import asdict
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from .apps import courier
from .models import Evidence


def tenant_of(request: HttpRequest) -> str:
    return request.headers["X-Tenant"]  # a real service knows it from who is logged in


@csrf_exempt
@require_POST
@transaction.atomic
def complete(request: HttpRequest, session_id: str) -> JsonResponse:
    """A session has ended; one that is completed twice stays as it was."""
    told = json.loads(request.body)
    evidence, _ = Evidence.objects.get_or_create(
        tenant_id=tenant_of(request),
        session_id=session_id,
        defaults={"employee": told["employee"], "outcome": told["outcome"]},
    )
    if courier().enabled(evidence.tenant_id):  # or there is no need to make a document
        # Only what is committed is evidence.
        transaction.on_commit(lambda: courier().submit(evidence.for_courier()))
    return JsonResponse({"evidence_id": evidence.evidence_id}, status=201)


@require_GET
def evidence_list(request: HttpRequest) -> JsonResponse:
    """A page of evidence with its uploads: one query here, one at the courier."""
    page = list(
        Evidence.objects.filter(tenant_id=tenant_of(request)).order_by("-completed_at")[:50]
    )
    uploads = courier().statuses(tenant_of(request), [evidence.evidence_id for evidence in page])
    rows = [
        {
            "evidence_id": evidence.evidence_id,
            "employee": evidence.employee,
            "outcome": evidence.outcome,
            # Nothing where the tenant has no integration.
            "upload": asdict(upload) if (upload := uploads.get(evidence.evidence_id)) else None,
        }
        for evidence in page
    ]
    return JsonResponse(rows, safe=False)


@require_GET
def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse(dict(courier().health().counts))
