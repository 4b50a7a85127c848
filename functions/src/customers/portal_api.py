"""Mijn omgeving: all its pages behind one door."""

from customers.portal import (
    call_pages,
    contract_pages,
    details_pages,
    door,
    number_pages,
    overview_page,
    phone_pages,
    sessions_page,
    sign_in_pages,
)
from shared import http

PAGES = (
    sign_in_pages,
    overview_page,
    phone_pages,
    number_pages,
    call_pages,
    contract_pages,
    details_pages,
    sessions_page,
)
"""Whose import declared the routes."""

routes = door.routes
app = door.app
handler = http.handler(app)
