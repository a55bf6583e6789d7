"""Access: the parts that say who asks and what they may, put together from the flags."""

from services.apiserver.startup.authenticators import Authentication, authentication
from services.apiserver.startup.authorizers import Authorization, authorization

__all__ = ["Authentication", "Authorization", "authentication", "authorization"]
