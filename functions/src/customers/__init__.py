"""What lives on after the order: customers, their products, phones, numbers and environments, and what they owe for a month."""
