"""Training records as JSON: reading them with every problem named, writing them in one canonical
form, and their schema."""

from .loading import load_record
from .schema import record_schema
from .writing import dump_record, record_json

__all__ = ["dump_record", "load_record", "record_json", "record_schema"]
