"""Audit: who did what, when, and what came of it.

policy.py says how much is recorded of a request, event.py records it, backends write it: a
file (logfile.py) or a webhook (webhook.py), each behind a bounded buffer (backend.py).
Nothing here decides about requests, but for one that must not go unrecorded.
Source: kube-apiserver v1.36.2, apiserver/pkg/audit and apiserver/plugin/pkg/audit.
"""

from services.apiserver.audit.event import NO_AUDIT, Audit, RequestAudit

__all__ = ["NO_AUDIT", "Audit", "RequestAudit"]
