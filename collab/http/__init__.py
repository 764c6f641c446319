"""What is served over plain HTTP: the page, the API (docs/http-api.md), health and metrics.

Every request of the service, also of the other endpoints, passes `edge` first.
"""
