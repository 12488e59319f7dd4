"""Training records as JSON: reading them with every problem named, and their schema."""

from .loading import load_record
from .schema import record_schema

__all__ = ["load_record", "record_schema"]
