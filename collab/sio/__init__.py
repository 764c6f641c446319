"""Door one: the whole-text Socket.IO contract."""
