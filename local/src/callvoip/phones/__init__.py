"""Phones that others wrote, as processes of this machine: for the demo and the tests."""


class PhoneError(Exception):
    """A phone did not do what it was waited for; the text ends with what it printed last."""
