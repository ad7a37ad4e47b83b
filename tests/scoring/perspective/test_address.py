"""Base URLs as users write them."""

from __future__ import annotations

import pytest

from goodctl.errors import UsageError
from goodctl.scoring.perspective.address import Address


@pytest.mark.parametrize(
    ("written", "url"),
    [
        (None, "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1alpha1/comments:analyze"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1alpha1/comments:analyze"),
        ("http://127.0.0.1:8000/v1alpha1", "http://127.0.0.1:8000/v1alpha1/comments:analyze"),
        ("http://127.0.0.1:8000/v1alpha1/comments:analyze", "http://127.0.0.1:8000/v1alpha1/comments:analyze"),
        ("https://Proxy.Example:443/perspective/", "https://proxy.example/perspective/v1alpha1/comments:analyze"),
        ("http://[::1]:80/x", "http://[::1]/x/v1alpha1/comments:analyze"),
        (" https://example.org ", "https://example.org/v1alpha1/comments:analyze"),
    ],
)
def test_addresses(written: str | None, url: str) -> None:
    assert Address.parse(written).url == url


@pytest.mark.parametrize(
    "written", ["localhost:8000", "ftp://example.org", "http://", "http://[", "http://h:99999", "x", "http:///path"]
)
def test_what_is_no_address(written: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(written)


@pytest.mark.parametrize(
    "written",
    ["https://example.org?key=hush", "https://hush@example.org", "https://a:hush@example.org", "http://h#hush"],
)
def test_secrets_in_addresses_are_refused_and_not_shown(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(written)
    assert "hush" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("written", "open_to_others"),
    [
        (None, False),
        ("http://127.0.0.1:1", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:1", False),
        ("http://localhost:1", False),
        ("http://192.168.0.1", True),
        ("http://example.org", True),
        ("https://example.org", False),
    ],
)
def test_who_can_read_what_is_sent(written: str | None, open_to_others: bool) -> None:
    assert Address.parse(written).is_open_to_others == open_to_others


def test_only_google_ends() -> None:
    assert Address.parse(None).is_google
    assert not Address.parse("https://googleapis.com.example.org").is_google
