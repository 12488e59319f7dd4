"""Renderers: from a training record to a document."""
