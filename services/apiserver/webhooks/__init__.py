"""Calls to webhooks: who they are, how they are reached, what went wrong.

`client` makes the HTTPS call, `address` finds where a Service is. What is asked and what the
answer means belongs to the callers: conversion in customresources/, admission in admission/.
"""

from services.apiserver.webhooks.address import Address, Unreachable, resolve_service
from services.apiserver.webhooks.client import ClientConfig, WebhookClient, WebhookError

__all__ = [
    "Address",
    "ClientConfig",
    "Unreachable",
    "WebhookClient",
    "WebhookError",
    "resolve_service",
]
