"""Races between several processes."""
