"""`manage.py resend_evidence`: hand over to the courier what it does not know.

That is what was completed right before a crash, and the past of a tenant that has its integration
only now.
"""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand
from django.core.paginator import Paginator

from ...apps import courier
from ...models import Evidence


class Command(BaseCommand):
    help = "Hand over to the courier all evidence of a tenant that it does not know."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant_id")

    def handle(self, *args: object, tenant_id: str, **options: object) -> None:
        missing = 0
        for page in Paginator(Evidence.objects.filter(tenant_id=tenant_id).order_by("pk"), 500):
            known = courier().statuses(tenant_id, [evidence.evidence_id for evidence in page])
            for evidence in page:
                if courier().enabled(tenant_id) and evidence.evidence_id not in known:
                    courier().submit(evidence.for_courier()).recorded()
                    missing += 1
        self.stdout.write(f"{missing} handed over")
