import ipaddress

import pytest

from curation.web.addresses import Forbidden, is_public, networks, parsed

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8")
PRIVATE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1",
    "2001:db8::1", "2001:0:7f00:1::1", "2002:7f00:1::1", "2002:a00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
    "ff02::1", "ff0e::1", "2606:4700::5efe:7f00:1", "5f00::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_all_others_are_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/a.png", "forbidden_scheme"), ("file:///etc/passwd", "forbidden_scheme"),
        ("//example.org", "forbidden_scheme"),
        ("gopher://example.org:80/", "forbidden_scheme"), ("data:image/png;base64,", "forbidden_scheme"),
        ("a.png", "forbidden_scheme"),
        ("http://user:word@example.org/", "forbidden_userinfo"), ("http://example.org@10.0.0.1/", "forbidden_userinfo"),
        ("http://@example.org/", "forbidden_userinfo"), ("http://example.org:22/", "forbidden_port"),
        ("http://example.org:6379/", "forbidden_port"), ("https://example.org:80443/", "forbidden_port"),
        ("http://", "bad_url"),
        ("http:///a.png", "bad_url"), ("http://exa mple.org/", "bad_url"), ("http://example.org\\@10.0.0.1/", "bad_url"),
        ("http://example.org/\r\nHost: x", "bad_url"), ("http://[::1", "bad_url"), ("http://" + "a" * 9000, "bad_url"),
        ("http://127.1/", "forbidden_address"), ("http://2130706433/", "forbidden_address"),
        ("http://0x7f000001/", "forbidden_address"),
        ("http://0177.0.0.1/", "bad_url"), ("http://1.2.3.4.5/", "forbidden_address"),
        ("http://0x7f.0.0.1", "forbidden_address"),
    ],
)  # fmt: skip
def test_urls_that_are_not_asked_say_why(url: str, reason: str) -> None:
    with pytest.raises(Forbidden) as caught:
        parsed(url, ports=(80, 443))
    assert caught.value.reason == reason
    assert caught.value.detail


def test_urls_with_other_letters_are_asked_by_their_plain_name() -> None:
    assert parsed("http://bücher.example/ä.png?q=ö", ports=(80,)).host == "bücher.example"
    assert parsed("https://EXAMPLE.org", ports=(443,)).host == "example.org"


def test_what_is_no_network_is_refused() -> None:
    assert len(networks(("127.0.0.1", "10.0.0.0/8", "fd00::/8"))) == 3
    with pytest.raises(ValueError, match="intranet"):
        networks(("intranet",))
