"""Canaries: marks in every attribute of every profile, for which all that servers say is searched.

Every run of the tests is one: plugin.py. planting.py puts them in, watching.py searches, ledger.py
counts over all processes, and `python -m tests.canaries MODULE …` is a server of a test in a
process of its own, with both. Only an answer of 200 or 207 to a server that proved itself may hold
one.
"""
