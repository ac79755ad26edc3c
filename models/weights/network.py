"""Whether a host can be reached, asked at most once per host and process."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

PATIENCE = 3.0  # seconds

_PORTS = {"http": 80, "https": 443}
_SOCKS = 1080


class Door(NamedTuple):
    """Where a connection to a URL begins: at its host, or at the proxy before it.

    Attributes:
        host: its name.
        port: 0 where none can be read.
        proxy: whether it is a proxy.
    """

    host: str
    port: int
    proxy: bool = False

    def __str__(self) -> str:
        if not self.proxy:
            return self.host
        return f"the proxy {self.host}" + (f":{self.port}" if self.port else "")


_known: dict[Door, bool] = {}


def door(url: str) -> Door:
    """Where a connection to a URL begins, by the proxies that the system or variables name.

    Args:
        url: with scheme and host.
    """
    target = urlsplit(url)
    host, proxies = target.hostname or url, getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return Door(host, target.port or _PORTS.get(target.scheme, 443))
    try:
        given = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return Door(given.hostname or proxy, given.port or _PORTS.get(given.scheme, _SOCKS), True)
    except ValueError:  # no port, or no address at all
        return Door(proxy.rpartition("@")[2], 0, True)  # without a password


def reachable(place: Door) -> bool:
    """Whether a connection can be made.

    Args:
        place: of the URL.
    """
    if place not in _known:
        _known[place] = _probe(place)
    return _known[place]


def _probe(place: Door) -> bool:
    found: list[bool] = []

    def connect() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((place.host, place.port), PATIENCE).close()
            found.append(True)

    # In a thread of its own: the look-up of a name knows no time limit.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(PATIENCE)
    return bool(found)
