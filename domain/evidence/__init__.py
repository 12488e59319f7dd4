"""What a host hands over: an evidence, its document or its training record."""
