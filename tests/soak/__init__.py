"""The soak of returns: people type while their links, the nodes and Redis go and come back."""
