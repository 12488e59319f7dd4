"""What the domain needs from the world, as small Protocols in the domain's own verbs.

An adapter implements one of these; a test hands in a fake of the same size. Nothing here performs
I/O.
"""
