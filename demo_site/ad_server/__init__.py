"""A stand-in for an ad server: picks a line item by the key-values it is told, and says why."""
