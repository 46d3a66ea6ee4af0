"""The URL of the schema registry, which may hold a password."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

__all__ = ["RegistryUrl"]

#: A host name or IP address.
HOST = re.compile(r"[\w.:%-]+")


@dataclass(frozen=True, slots=True)
class RegistryUrl:
    """The parts of a registry's URL; `str` gives it without user name and password."""

    scheme: str  #: ``http`` or ``https``
    host: str  #: Host name or IP address
    port: int | None  #: Port; None: the scheme's
    path: str  #: Path in front of the registry's own ones, without a slash at the end
    #: For HTTP basic authentication; ``username`` is None without it.
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)
    written_password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> RegistryUrl:
        """Take a URL apart: ``http[s]://[user:password@]host[:port][/path]``.

        `ValueError` if it is of another form. What is behind the scheme may be part of
        a password, so the text shows none of it.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("http", "https"):
            raise ValueError("expected a URL of the form http://host:port or https://host:port")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = None, "", None
        if parts is None or not rest.isprintable() or "@" in parts.path or "?" in rest or "#" in rest:
            raise ValueError(
                f"expected {scheme}://[user:password@]host[:port][/path], got '@', '?', '#' or a control "
                "character elsewhere; in a user name or password, write each of '/', '?', '#', '@', '[' and "
                "']' as %2F, %3F, %23, %40, %5B and %5D"
            )
        if not HOST.fullmatch(host) or port == 0:
            raise ValueError(f"expected {scheme}://[user:password@]host[:port][/path], got no host or port")
        username = None if parts.username is None else unquote(parts.username)
        written = parts.password or ""
        return cls(scheme, host, port, parts.path.rstrip("/"), username, unquote(written), written)

    @property
    def secrets(self) -> set[str]:
        """The password: as it was written, as it is meant, and as it is sent; empty if there is none."""
        sent = (self.authorization or "").partition(" ")[2]
        return {self.password, self.written_password, sent} if self.password else set()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def authorization(self) -> str | None:
        """Value of the HTTP header ``Authorization``, None if there is no user name."""
        if self.username is None:
            return None
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"
