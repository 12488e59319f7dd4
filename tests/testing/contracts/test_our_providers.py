"""Our providers, and the fakes that stand in for one, keep the contract for providers.

A provider more is a class more: its harness says what a tenant's block holds and what the platform
answers when all goes well.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from archive import ArchiveProvider, harness_of
from attrs import evolve
from sandbox_platform import SandboxPlatform

from evidence_courier.adapters.providers.drata.provider import DrataProvider
from evidence_courier.adapters.providers.secureframe.provider import SecureframeProvider
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.vanta.provider import VantaProvider
from evidence_courier.domain.upload.verdict import Delivered, Rejected
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing import ReadableScriptedProvider, ScriptedProvider
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness
from evidence_courier.testing.sandboxes import (
    DrataSandbox,
    Sandbox,
    SecureframeSandbox,
    SprintoRestSandbox,
    SprintoSandbox,
    VantaSandbox,
    sandbox_in_thread,
)
from evidence_courier.testing.scripted_transport import reply

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"


class OnASandbox(ProviderContract):
    """The platform is the provider's sandbox, with a clean slate for each conversation."""

    platform: ClassVar[SandboxPlatform]

    @classmethod
    @abstractmethod
    def sandbox(cls) -> Sandbox:
        """The sandbox, not started."""

    @abstractmethod
    def subject(self, url: str) -> ProviderHarness:
        """The provider, its block for a sandbox at that address, and which of its requests may
        be repeated."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def served(cls) -> Iterator[None]:
        with sandbox_in_thread(cls.sandbox()) as sandbox:
            cls.platform = SandboxPlatform(sandbox)
            yield
            cls.platform.close()

    def harness(self) -> ProviderHarness:
        sandbox = self.platform.sandbox
        sandbox.reset()
        return evolve(self.subject(sandbox.url), answer=self.platform.answer, copies=sandbox.copies)


def unanswered(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the sandbox takes its place")


def asks_for_checks(request: HttpRequest) -> bool:
    return b"workflowChecksPaginated" in b"".join(request.body)


class TestSprinto(OnASandbox):
    @classmethod
    def sandbox(cls) -> Sandbox:
        return SprintoSandbox()

    def subject(self, url: str) -> ProviderHarness:
        return ProviderHarness(
            provider=SprintoProvider(),
            settings={"api_key": "${KEY}", "workflow_check": CHECK, "endpoint": url},
            secrets={"KEY": "sandbox-key"},
            answer=unanswered,
            repeatable=asks_for_checks,
        )


class TestSprintoOverRest(OnASandbox):
    @classmethod
    def sandbox(cls) -> Sandbox:
        return SprintoRestSandbox()

    def subject(self, url: str) -> ProviderHarness:
        return ProviderHarness(
            provider=SprintoProvider(),
            settings={"api": "rest", "api_key": "${KEY}", "workflow_check": CHECK, "endpoint": url},
            secrets={"KEY": "sandbox-key"},
            answer=unanswered,
        )

    def harness(self) -> ProviderHarness:
        """The dry run asks the other API, whatever the uploads go over."""
        harness = super().harness()

        def answer(request: HttpRequest) -> HttpResponse:
            if not asks_for_checks(request):
                return harness.answer(request)
            edges = [{"cursor": "1", "node": {"pk": CHECK, "title": "Security training"}}]
            page = {"data": {"workflowChecksPaginated": {"totalCount": 1, "edges": edges}}}
            return reply(200, json.dumps(page).encode())

        return evolve(harness, answer=answer, repeatable=asks_for_checks)


class TestVanta(OnASandbox):
    @classmethod
    def sandbox(cls) -> Sandbox:
        return VantaSandbox(token_pace=None)

    def subject(self, url: str) -> ProviderHarness:
        return ProviderHarness(
            provider=VantaProvider(),
            settings={
                "client_id": "sandbox-client",
                "client_secret": "${KEY}",
                "document": "security-awareness-training",
                "endpoint": url,
            },
            secrets={"KEY": "sandbox-key"},
            answer=unanswered,
            repeatable=lambda request: request.url.endswith(("/submit", "/oauth/token")),
        )


class TestDrata(OnASandbox):
    @classmethod
    def sandbox(cls) -> Sandbox:
        return DrataSandbox(users={7: "asha@acme.example"})

    def subject(self, url: str) -> ProviderHarness:
        return ProviderHarness(
            provider=DrataProvider(),
            settings={"api_key": "${KEY}", "endpoint": url},
            secrets={"KEY": "sandbox-key"},
            answer=unanswered,
        )


class TestDratasLibrary(TestDrata):
    def subject(self, url: str) -> ProviderHarness:
        harness = super().subject(url)
        return evolve(
            harness, settings={**harness.settings, "to": "library", "workspace": 1, "owner": 7}
        )


class TestDratasEvidence(TestDratasLibrary):
    def subject(self, url: str) -> ProviderHarness:
        harness = super().subject(url)
        return evolve(
            harness,
            settings={**harness.settings, "library_api": "evidence"},
            repeatable=lambda request: request.url.endswith("/evidence-files"),
        )


class TestSecureframe(OnASandbox):
    @classmethod
    def sandbox(cls) -> Sandbox:
        return SecureframeSandbox(
            users={"5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10": "asha@acme.example"}, shows_names=True
        )

    def subject(self, url: str) -> ProviderHarness:
        return ProviderHarness(
            provider=SecureframeProvider(),
            settings={"api_key": "${KEY}", "api_secret": "${SECRET}", "endpoint": url},
            secrets={"KEY": "sandbox-key", "SECRET": "sandbox-secret"},
            answer=unanswered,
            repeatable=lambda request: "/file_uploads" in request.url or "/storage" in request.url,
            # The storage is another's, and knows no credentials of Secureframe's.
            # An account without staging gets the document directly.
            otherwise=lambda request, status: {
                ("storage", 401): (Rejected,),
                ("file_uploads", 404): (Delivered, Rejected),
                ("file_uploads", 405): (Delivered, Rejected),
            }.get((urlsplit(request.url).path.split("/")[1], status)),
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
