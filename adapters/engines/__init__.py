"""What drives uploads through their lives."""
