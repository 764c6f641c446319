"""The plain HTTP side: the page, the API (docs/http-api.md), health and metrics.

Every request to the service, also to the other endpoints, passes `edge` first.
"""
