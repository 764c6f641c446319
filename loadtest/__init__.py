"""Load tests and benchmarks. They speak the wire and import nothing of the service."""
