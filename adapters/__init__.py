"""The world that the ports speak of: one family of adapters a folder.

An adapter implements a port, or reads what a person wrote. It knows its own piece of the world and
no other adapter's.
"""
