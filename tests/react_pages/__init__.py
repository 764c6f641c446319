"""People who type at once on real React pages in Chromium, and what became of what they typed.

``python -m tests.react_pages`` prints the table; the pages are in ``tests/js/react``.
"""
