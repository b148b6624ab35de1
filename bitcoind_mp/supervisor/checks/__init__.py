"""Asking workers how they are, measuring them, and judging what was found."""
