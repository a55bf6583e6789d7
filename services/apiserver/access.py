"""Access: the parts that say who asks and what they may, put together from the flags."""

from services.apiserver.authenticators import Authentication, authentication
from services.apiserver.authorizers import Authorization, authorization

__all__ = ["Authentication", "Authorization", "authentication", "authorization"]
