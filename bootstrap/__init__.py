"""The composition root: builds a courier from configuration, and the command line."""
