"""The names of the service: the setting, the rule for each request, and what is the own page."""

from __future__ import annotations

import pytest

from collab.config import Config
from collab.errors import ConfigError, OriginNotAllowed, WrongHost
from collab.hosts import PROBES, Hosts
from collab.origins import ONLY_OWN_PAGE, Origins

NAME = "collab.example"
ELSEWHERE = ("192.0.2.7", 8005)
"""The node's address behind a proxy, at which no browser finds it."""


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (NAME, {NAME}),
        (" Collab.Example , nginx:8006", {NAME, "nginx:8006"}),
        ("192.0.2.7,[2001:db8::1]:8005", {"192.0.2.7", "[2001:db8::1]:8005"}),
    ],
)
def test_hosts_are_names_with_or_without_a_port(given: str, names: set[str]) -> None:
    assert Config.from_env({"COLLAB_HOSTS": given}).hosts == Hosts(frozenset(names))


@pytest.mark.parametrize(
    "given", ["https://collab.example", "collab.example/", "*", "*.example", "a,,b", "a b", "a:b"]
)
def test_what_no_browser_sends_as_a_host_is_refused_at_the_start(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^COLLAB_HOSTS: .* a host is NAME or NAME:PORT"):
        Config.from_env({"COLLAB_HOSTS": given})


@pytest.mark.parametrize(
    ("host", "right"),
    [
        (NAME, True), (f"{NAME}:8005", True), ("Collab.EXAMPLE", True), ("nginx:8006", True),
        ("nginx", False), ("nginx:8007", False), ("evil.example", False), (f"x{NAME}", False),
        (f"{NAME}.evil.example", False), (f"{NAME}:port", False), ("", False),
        ("127.0.0.1:8005", False), ("localhost", False), (f"{NAME}@evil.example", False),
        ("\udcff", False),
    ],
)  # fmt: skip
def test_a_request_for_another_host_is_refused(host: str, right: bool) -> None:
    hosts = Hosts.parse(f"{NAME},nginx:8006")
    for path in ("/", "/socket.io/", "/yjs/r", "/api/rooms"):
        if right:
            hosts.check(host, path)
        else:
            with pytest.raises(WrongHost, match="COLLAB_HOSTS"):
                hosts.check(host, path)
        Hosts().check(host, path)


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_may_use_the_address_of_the_node_but_no_other_name(path: str) -> None:
    hosts = Hosts.parse(NAME)
    for host in ("", "10.0.0.5:8005", "[fd00::5]:8005", "127.0.0.1", "localhost:8005", NAME):
        hosts.check(host, path)
    for host in ("evil.example", "10.0.0.5.evil.example", "127.1"):
        with pytest.raises(WrongHost):
            hosts.check(host, path)


@pytest.mark.parametrize(
    ("origin", "host", "right"),
    [
        # Behind a proxy the browser's address is in the Host header only.
        (f"https://{NAME}", NAME, True), (f"http://{NAME}:8005", f"{NAME}:8005", True),
        (f"https://{NAME}", NAME.upper(), True),
        ("http://127.0.0.1:8005", "127.0.0.1:8005", True),
        ("http://localhost:8005", "localhost:8005", True),
        ("https://[2001:db8::1]", "[2001:db8::1]", True),
        (f"http://{NAME}:8006", f"{NAME}:8005", False), (f"https://{NAME}", "other.example", False),
        ("http://rebound.example:8005", "rebound.example:8005", False),
        ("http://127.0.0.1:3000", "127.0.0.1:8005", False), ("null", "", False),
        ("null", "null", False), ("", "", False),
        (f"ftp://{NAME}", NAME, False), (f"chrome-extension://{NAME}", NAME, False),
    ],
)  # fmt: skip
def test_a_page_is_the_services_own_at_a_listed_name_or_an_address_that_nobody_can_bind(
    origin: str, host: str, right: bool
) -> None:
    for origins in (ONLY_OWN_PAGE, Origins.parse("https://listed.example")):
        known = origins.at(Hosts.parse(NAME))
        assert known.allow(origin, ELSEWHERE, host) is right
        if not right:
            with pytest.raises(OriginNotAllowed):
                known.check(origin, ELSEWHERE, host)


def test_a_name_that_is_not_listed_is_no_evidence() -> None:
    assert not ONLY_OWN_PAGE.allow(f"https://{NAME}", ELSEWHERE, NAME)
