"""Perso for aiohttp: each request has its visitor, and the page's visit is decided before it
renders."""

from perso_aiohttp.answer import BadCookieDomain, BadWait
from perso_aiohttp.data_island import script_json
from perso_aiohttp.middleware import init_app, page_data, remember, visitor_for, visitor_from
from perso_aiohttp.page_view import is_visit, page_view, wants_html

__all__ = [
    "BadCookieDomain",
    "BadWait",
    "init_app",
    "is_visit",
    "page_data",
    "page_view",
    "remember",
    "script_json",
    "visitor_for",
    "visitor_from",
    "wants_html",
]
