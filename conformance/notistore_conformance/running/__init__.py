"""Runs checks of any kind, one after another, on an event loop in a thread."""
