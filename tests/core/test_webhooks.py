"""Which addresses webhooks may go to: names by the operators' list, addresses by what they are."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput, TargetRefused
from plaza_core.webhooks import HostPattern, Target, allowed, check_address

HOOKS = HostPattern.parse("hooks.example.org")


def covers(pattern, url):
    return HostPattern.parse(pattern).covers(Target.parse(url))


@pytest.mark.parametrize(
    ("pattern", "url", "covered"),
    [
        ("hooks.example.org", "https://hooks.example.org/a?b=c", True),
        ("hooks.example.org", "https://HOOKS.Example.ORG/", True),
        ("hooks.example.org", "https://hooks.example.org:443/", True),
        ("hooks.example.org", "https://hooks.example.org:8443/", False),
        ("hooks.example.org:8443", "https://hooks.example.org:8443/", True),
        ("hooks.example.org:8443", "https://hooks.example.org/", False),
        ("hooks.example.org:*", "https://hooks.example.org:1/", True),
        ("hooks.example.org", "https://evil-hooks.example.org/", False),
        ("hooks.example.org", "https://hooks.example.org.evil.test/", False),
        ("*.example.org", "https://a.example.org/", True),
        ("*.example.org", "https://a.b.example.org/", True),
        ("*.example.org", "https://example.org/", False),
        ("*.example.org", "https://badexample.org/", False),
        ("127.0.0.1:9", "http://127.0.0.1:9/", True),
        ("127.0.0.1:9", "http://127.0.0.2:9/", False),
        ("[::1]:9", "http://[::1]:9/", True),
        ("[::1]:9", "http://[0:0:0:0:0:0:0:1]:9/", True),
        ("[::1]:9", "http://[::2]:9/", False),
    ],
)
def test_a_pattern_covers_what_it_says(pattern, url, covered):
    assert covers(pattern, url) is covered


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.org", "*.*.example.org", "a*.example.org", "https://a.b", "a.b/c", "a.b:x",
     "a.b:123456", "a_b.c", "[::zz]", "::1", ".a.b", "a.b.", "a b.c", "exämple.org", "a@b.c"],
)  # fmt: skip
def test_what_is_no_pattern(pattern):
    with pytest.raises(InvalidInput):
        HostPattern.parse(pattern)


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example.org", "//hooks.example.org", "ftp://hooks.example.org", "file:///etc/passwd",
     "gopher://hooks.example.org/", "data:text/plain,x", "javascript:alert(1)", "https://",
     "https://user@hooks.example.org/", "https://user:pw@hooks.example.org/",
     "https://hooks.example.org/#fragment", "https://hooks.example.org\\@evil.test/",
     "https://hooks.example.org /", "https://hooks.example.org/\r\nx: y", "https://hooks.example.org:x/",
     "https://hooks.example.org:99999/", "https://[::1/", "https://[fe80::1%25eth0]/",
     "https://hooks..example.org/", "https://exämple.org/", "https://hooks.example.org./",
     "https://a_b.example.org/", "https://" + "a" * 2000],
)  # fmt: skip
def test_what_is_no_target(url):
    with pytest.raises(InvalidInput):
        Target.parse(url)


def test_nothing_is_allowed_by_an_empty_list():
    with pytest.raises(TargetRefused):
        allowed(Target.parse("https://hooks.example.org/"), [])


def test_plain_http_is_for_hosts_inside_only():
    with pytest.raises(TargetRefused, match="https"):
        allowed(Target.parse("http://hooks.example.org:80/"), [HostPattern("hooks.example.org:*")])
    inside = HostPattern("hooks.example.org:*", private=True)
    assert allowed(Target.parse("http://hooks.example.org/"), [inside]) == inside
    with pytest.raises(TargetRefused, match="this machine"):
        check_address("10.0.0.1", inside, "http")
    check_address("127.0.0.1", inside, "http")


def test_of_two_patterns_the_one_that_allows_more_counts():
    more = HostPattern("*.example.org", private=True)
    assert allowed(Target.parse("https://hooks.example.org/"), [HOOKS, more]) == more


INSIDE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
    "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fec0::1",
]  # fmt: skip
OUTSIDE = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:2800:220:1::1", "::ffff:93.184.216.34"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_unless_an_operator_named_its_host(address):
    with pytest.raises(TargetRefused):
        check_address(address, HOOKS, "https")
    check_address(address, HostPattern("hooks.example.org", private=True), "https")


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_fine_for_https(address):
    check_address(address, HOOKS, "https")
    with pytest.raises(TargetRefused):
        check_address(address, HostPattern("hooks.example.org", private=True), "http")


BLOCKS = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
PRIVATE = [ipaddress.ip_network(block) for block in BLOCKS]


@given(st.sampled_from(PRIVATE), st.data())
def test_no_spelling_of_a_private_address_gets_by(network, data):
    number = data.draw(st.integers(int(network[0]), int(network[-1])))
    four = ipaddress.IPv4Address(number)
    spelling = data.draw(
        st.sampled_from(
            [
                str(four),
                f"::ffff:{four}",
                f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}",
                str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
                str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
            ]
        )
    )
    with pytest.raises(TargetRefused):
        check_address(spelling, HOOKS, "https")
