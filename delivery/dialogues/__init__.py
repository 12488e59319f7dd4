"""What a provider writes its dialogues with: forms, replies, and the table of HTTP errors."""
