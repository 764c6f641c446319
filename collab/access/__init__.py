"""Who may enter, and as what: a `Grant` for each token (docs/access.md).

`tokens` verifies JSON Web Tokens with the keys of `keys`; `hook` asks a function of the program
that embeds the service instead. `expiry` watches a grant while its client is connected.
"""
