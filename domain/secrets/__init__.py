"""Secrets, and what keeps them out of records and logs."""
