"""What a representation looks like: spectrum, scatter, orders for the heat maps."""
