"""Users who try to get at more than they were given: each attempt is refused.

Every test has a user of its own, who may do exactly what the test grants. What the attempt would
need is granted in some tests too: it has to be the missing right that it fails by.
"""
