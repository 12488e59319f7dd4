"""One upload: its states, the events that change them, and the record of its attempts."""
