"""Who may enter, and as what: a `Grant` for each token (docs/access.md)."""
