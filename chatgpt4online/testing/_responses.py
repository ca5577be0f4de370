"""The responses that WordPress itself gives: JSON, pages and errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ._http import HeaderFields, HTTPResponse, reason_phrase
from ._php import php_json

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=UTF-8"
NO_CACHE = (
    ("Cache-Control", "no-cache, must-revalidate, max-age=0"),
    ("Expires", "Wed, 11 Jan 1984 05:00:00 GMT"),
)


def json_response(value: Any, status: int = 200) -> HTTPResponse:
    """Return a response with a JSON body."""
    return HTTPResponse(status, (("Content-Type", JSON_TYPE),), (php_json(value),))


def html_response(text: str, status: int = 200) -> HTTPResponse:
    """Return a response with a page as its body."""
    return HTTPResponse(status, (("Content-Type", HTML_TYPE),), (text.encode(),))


def front_end_page(status: int) -> HTTPResponse:
    """Return the page with which a web server responds by itself."""
    title = f"{status} {reason_phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return html_response(page, status)


def with_headers(response: HTTPResponse, fields: HeaderFields) -> HTTPResponse:
    """Return a response with additional header fields."""
    return replace(response, headers=(*response.headers, *fields))


def wordpress_error(status: int, code: str, message: str, **data: Any) -> HTTPResponse:
    """Return an error in the JSON format of WordPress core."""
    error = {"code": code, "message": message, "data": {"status": status, **data}}
    return json_response(error, status)


def no_route() -> HTTPResponse:
    """Return the response to an unknown route, or to a method that the route does not have."""
    message = "No route was found matching the URL and request method."
    return wordpress_error(404, "rest_no_route", message)


def forbidden(*, logged_in: bool) -> HTTPResponse:
    """Return the response to a request whose permission check fails: 403 for users, else 401."""
    message = "Sorry, you are not allowed to do that."
    return wordpress_error(403 if logged_in else 401, "rest_forbidden", message)


def not_logged_in() -> HTTPResponse:
    """Return the response to a guest where only users are permitted."""
    return wordpress_error(401, "rest_not_logged_in", "You are not currently logged in.")


def critical_error(*, as_page: bool = False) -> HTTPResponse:
    """Return the response of WordPress to a fatal PHP error: JSON, or a page."""
    message = (
        "<p>There has been a critical error on this website.</p>"
        '<p><a href="https://wordpress.org/support/article/faq-troubleshooting/">'
        "Learn more about troubleshooting WordPress.</a></p>"
    )
    if as_page:
        title = "<title>WordPress &rsaquo; Error</title>"
        page = f"<!DOCTYPE html>\n<html><head>{title}</head><body>{message}</body></html>\n"
        return with_headers(html_response(page, 500), NO_CACHE)
    error = {"code": "internal_server_error", "message": message, "data": {"status": 500}}
    return with_headers(json_response({**error, "additional_errors": []}, 500), NO_CACHE)
