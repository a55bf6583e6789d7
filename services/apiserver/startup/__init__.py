"""The parts put together from the flags, each module one part; `server.py` starts and ends them."""
