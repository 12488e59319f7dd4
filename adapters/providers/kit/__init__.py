"""Building blocks that any provider may stand on: forms, replies, and the table of HTTP errors."""
