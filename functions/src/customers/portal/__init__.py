"""Mijn omgeving: what a signed-in customer sees and does, as pages that work without JavaScript."""
