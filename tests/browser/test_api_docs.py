"""The page that shows the HTTP API's contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Cluster
from tests.cluster.caller import CONTRACT

pytestmark = pytest.mark.timeout(60)

Visit = Callable[..., Any]
KEY = "a-key-of-the-api-for-this-test"


def test_the_page_lists_every_operation_and_asks_nobody_else(
    cluster: Cluster, visit: Visit
) -> None:
    """It needs no key, like the contract; the console stays empty under the page's own CSP."""
    url = cluster.start_node("documented", COLLAB_API_KEY=KEY)
    reader = visit("Ada")
    answer = reader.page.goto(f"{url}/api/docs")
    assert answer.status == 200 and "unsafe" not in answer.headers["content-security-policy"]
    operations = reader.page.locator(".opblock")
    expected = [
        (method.upper(), path)
        for path, item in CONTRACT["paths"].items()
        for method in item
        if method != "parameters"
    ]
    expect(operations).to_have_count(len(expected))
    shown = [
        (
            operation.locator(".opblock-summary-method").inner_text(),
            operation.locator(".opblock-summary-path").get_attribute("data-path"),
        )
        for operation in operations.all()
    ]
    assert sorted(shown) == sorted(expected)
    operations.first.locator(".opblock-summary-control").click()
    expect(operations.first.locator(".responses-wrapper")).to_be_visible()
    assert reader.requests and all(
        request.startswith((url, "data:")) for request in reader.requests
    )
    assert reader.failures == []


def test_the_api_can_be_tried_on_the_page_with_a_key(cluster: Cluster, visit: Visit) -> None:
    url = cluster.start_node("tried", COLLAB_API_KEY=KEY)
    page = visit("Ada").page
    page.goto(f"{url}/api/docs")
    page.get_by_role("button", name="Authorize").click()
    key = page.locator("form", has_text="key (http, Bearer)")
    key.get_by_label("auth-bearer-value").fill(KEY)
    key.get_by_role("button", name="Apply credentials").click()
    key.get_by_role("button", name="Close").click()
    listing = page.locator(".opblock-get", has=page.locator("[data-path='/rooms']"))
    listing.locator(".opblock-summary-control").click()
    listing.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{url}/api/rooms*") as response:
        listing.get_by_role("button", name="Execute").click()
    assert response.value.status == 200
