"""Our providers, and the fakes that stand in for one, keep the contract for providers.

A provider more is a class more: its harness says what a tenant's block holds and what the platform answers when all goes well.
"""

from __future__ import annotations

import json

from archive import ArchiveProvider, harness_of

from evidence_courier.adapters.providers.sprinto import SprintoProvider
from evidence_courier.testing import ReadableScriptedProvider, ScriptedProvider
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness
from evidence_courier.testing.scripted_transport import reply


class TestSprinto(ProviderContract):
    def harness(self) -> ProviderHarness:
        result = {
            "message": "Evidence uploaded for this check",
            "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
        }
        success = json.dumps({"data": {"uploadWorkflowCheckEvidence": result}}).encode()
        return ProviderHarness(
            provider=SprintoProvider(),
            settings={
                "api_key": "${SPRINTO_KEY}",
                "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
                "endpoint": "http://127.0.0.1:9/dev-api/graphql",
            },
            answer=lambda request: reply(200, success),
        )


class TestScriptedProvider(ProviderContract):
    def harness(self) -> ProviderHarness:
        return ProviderHarness(
            provider=ScriptedProvider(url="http://127.0.0.1:9/scripted"),
            settings={"key": "${KEY}"},
            answer=lambda request: reply(200),
            origins=("http://127.0.0.1:9",),
        )


class TestReadableScriptedProvider(ProviderContract):
    def harness(self) -> ProviderHarness:
        provider = ReadableScriptedProvider(url="http://127.0.0.1:9/scripted")
        return ProviderHarness(
            provider=provider,
            settings={"key": "${KEY}"},
            answer=lambda request: reply(200),
            origins=("http://127.0.0.1:9",),
            copies=provider.copies,
        )


class TestAProviderWithEveryCapability(ProviderContract):
    def harness(self) -> ProviderHarness:
        return harness_of(ArchiveProvider())
