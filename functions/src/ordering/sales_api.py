"""The handler of sales: what it reads of orders, and what it does with them."""

from ordering import sales_deciding, sales_reading
from ordering.sales_routes import app, orders, routes
from shared import http

__all__ = ["handler", "orders", "routes", "sales_deciding", "sales_reading"]

handler = http.handler(app)
