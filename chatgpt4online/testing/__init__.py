"""
An AI Engine site on 127.0.0.1, to test code that talks to one.

``Server`` is the site, ``Request`` what it records, ``event()`` makes the bytes of one event of a
streamed answer. With pytest, the fixture ``chatgpt4online_server`` is a started server.
"""

from ._http import Headers, Request
from ._model import event
from ._server import Server

__all__ = ["Headers", "Request", "Server", "event"]
