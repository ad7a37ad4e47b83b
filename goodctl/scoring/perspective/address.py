"""Where the service is asked."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from goodctl.errors import UsageError

GOOGLE = "https://commentanalyzer.googleapis.com"
VERSION = "v1alpha1"
_METHOD = "comments:analyze"


@dataclass(frozen=True)
class Address:
    """A base URL that was checked.

    Attributes:
        base: Scheme, host, port and path, without the part that all Perspective services share.
        host: Host and port, for messages.
    """

    base: str
    host: str

    @classmethod
    def parse(cls, text: str | None) -> Address:
        """Read what a user wrote; None is Google's own. The version and the method may stand at the end.

        Raises:
            UsageError: It is no URL of HTTP, or holds what belongs elsewhere. The message shows no password and no key.
        """
        hint = "Write it as: --base-url http://127.0.0.1:8000"
        try:
            parts = urlsplit((text or GOOGLE).strip())
            port = parts.port
        except ValueError:
            raise UsageError("The base URL is none.", hint=hint) from None
        if parts.username is not None or parts.query or parts.fragment:
            raise UsageError(
                "The base URL holds a user, a query or a fragment: keys come from the environment.", hint=hint
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"{text!r} is no base URL.", hint=hint)
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        usual = {"http": 80, "https": 443}[parts.scheme]
        host = name if port in {None, usual} else f"{name}:{port}"
        path = parts.path.rstrip("/").removesuffix(f"/{_METHOD}").removesuffix(f"/{VERSION}").rstrip("/")
        return cls(f"{parts.scheme}://{host}{path}", host)

    @property
    def url(self) -> str:
        """What requests are posted to."""
        return f"{self.base}/{VERSION}/{_METHOD}"

    @property
    def is_google(self) -> bool:
        """Whether it is the service that ends."""
        return self.host.endswith(".googleapis.com")

    @property
    def is_open_to_others(self) -> bool:
        """Whether what is sent can be read on its way: unencrypted, and not on this machine."""
        if self.base.startswith("https:"):
            return False
        name = urlsplit(self.base).hostname or ""
        try:
            return not ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name != "localhost"
