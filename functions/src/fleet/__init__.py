"""The pool of media nodes: which there are, which orders they serve, and what to do about it."""
