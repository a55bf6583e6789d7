"""HTTP: bytes → Request (protocol.py, under server.py), and what form an answer takes."""
