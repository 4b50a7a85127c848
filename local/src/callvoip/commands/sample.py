"""What the commands that order something fill in beside who orders."""

ADDRESS = {"street": "Voorbeeldstraat", "houseNumber": "1", "postcode": "3511 AA", "city": "Utrecht"}
"""Where the phones stand, which 112 has to know before they are switched on."""
