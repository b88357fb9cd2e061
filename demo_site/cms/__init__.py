"""Fell & Ford, a shop and a magazine of our own invention, on Perso's aiohttp and Jinja plugins."""
