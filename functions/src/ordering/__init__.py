"""Orders: what is sold at which price, what a customer orders, and what sales decides."""
