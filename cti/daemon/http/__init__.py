"""The HTTP side: metrics, health and the API, by default on this machine only. `make_app` and `start` are the ways in."""

from cti.daemon.http.deps import Check, Health, HttpDeps
from cti.daemon.http.listen import start
from cti.daemon.http.server import make_app

__all__ = ["Check", "Health", "HttpDeps", "make_app", "start"]
