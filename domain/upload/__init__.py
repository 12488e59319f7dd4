"""One upload: its states, what may happen to it, and what is known of its attempts."""
