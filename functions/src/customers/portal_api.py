"""Mijn omgeving: all its pages behind one door."""

from customers.portal import door, overview_page, phone_pages, sessions_page, sign_in_pages
from shared import http

__all__ = ["handler", "overview_page", "phone_pages", "routes", "sessions_page", "sign_in_pages"]

routes = door.routes
app = door.app
handler = http.handler(app)
