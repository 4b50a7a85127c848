"""What a browser reaches: the distribution, the HTTP API, the sign-in page."""
