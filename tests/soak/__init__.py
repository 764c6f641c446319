"""The soak test: people type while their links, the nodes and Redis fail and return."""
