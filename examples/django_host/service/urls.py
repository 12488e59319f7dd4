"""Which page is where."""

from django.urls import path
from trainings import views

urlpatterns = [
    path("trainings/<str:session_id>/complete", views.complete),
    path("evidence", views.evidence_list),
    path("health", views.health),
]
