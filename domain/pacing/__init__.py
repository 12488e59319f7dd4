"""When a request may leave: pace, pause, block and lease of a credential."""
