"""The emulated AWS, and what the template deploys into it."""
