"""Rules together: what an event, an attribute or time alone changes for one visitor."""
