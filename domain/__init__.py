"""What an upload is and what may happen to it.

Everything in this package is a value or a function of values. Time and chance arrive as arguments;
nothing here reads a clock, rolls dice, touches a file or a socket, or writes a log.
"""
