"""Runs the functions, and what starts them."""
