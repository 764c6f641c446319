"""Door two: y-websocket."""
