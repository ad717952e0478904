"""Telling people of troubles: what is told when (pure), in which words (pure), and how it gets there."""
