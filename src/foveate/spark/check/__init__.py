"""Prove that a target can be used."""
