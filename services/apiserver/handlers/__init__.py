"""Which handler answers a resource request (dispatch.py), and those that neither plainly read nor
write: /scale, reviews, what is done to pods, componentstatuses. The others are in `read/` and
`write/`.
"""
