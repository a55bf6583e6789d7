"""The API server: stateless, many beside each other.

The flows: `write/`, `events/`, `read/`. What every request passes before: `pipeline.py`. How the
parts are put together: `server.py`.
"""
