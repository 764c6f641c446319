"""The parts of the tests: real Redis servers, real nodes, real clients, a breakable wire."""
