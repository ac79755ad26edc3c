"""Stored predictions in the formats of other programs; `formats` has the registry."""
