"""Tests of verbs, on real databases."""
