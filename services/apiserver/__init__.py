"""The API server: stateless, many beside each other.

Read `pipeline.py` for what every request passes, `handlers/` for the write and the read
flow, `server.py` for how the parts are put together.
"""
