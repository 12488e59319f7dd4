"""When a request may leave: pace, cool-down, block and lease of a credential."""
