"""What the service keeps of its own accord."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from evidence_courier import Document
from evidence_courier import Evidence as CourierEvidence


class Evidence(models.Model):
    """That somebody has completed a training."""

    tenant_id: models.CharField[str, str] = models.CharField(max_length=100)
    session_id: models.CharField[str, str] = models.CharField(max_length=100)
    employee: models.CharField[str, str] = models.CharField(max_length=100)
    outcome: models.CharField[str, str] = models.CharField(max_length=20)
    completed_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "session_id"], name="one_a_session"),
        )
        indexes = (models.Index(fields=["tenant_id", "-completed_at"], name="newest_of_tenant"),)

    @property
    def evidence_id(self) -> str:
        return f"training-{self.session_id}"

    def for_courier(self) -> CourierEvidence:
        certificate = (
            f"session,employee,outcome\r\n{self.session_id},{self.employee},{self.outcome}\r\n"
        )
        return CourierEvidence(
            tenant_id=self.tenant_id,
            evidence_id=self.evidence_id,
            session_id=self.session_id,
            subject=self.employee,
            outcome=self.outcome,
            recorded_at=self.completed_at,
            document=Document(content=certificate.encode(), media_type="text/csv"),
        )
