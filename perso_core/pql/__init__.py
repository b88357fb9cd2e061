"""The rules of audiences: from text to a predicate, and which changes can touch it."""
