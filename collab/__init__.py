"""Live code rooms: whole-text Socket.IO clients and Yjs editors in one text, on several nodes."""

__version__ = "0.1.0"
