"""What the tests are made with: real Redis servers, real nodes, real clients, a breakable wire."""
