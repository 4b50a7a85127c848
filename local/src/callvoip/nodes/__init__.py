"""Instances as real media-node processes, with what an operator gives them."""
