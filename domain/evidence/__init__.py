"""What a host submits: an evidence with its document or its training record."""
