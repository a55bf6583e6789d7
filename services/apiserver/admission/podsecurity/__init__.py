"""PodSecurity: the Pod Security Standards, chosen by a namespace's labels.

levels.py reads the labels, baseline.py and restricted.py are the checks, plugin.py asks them.
"""

from services.apiserver.admission.podsecurity.plugin import PodSecurity

__all__ = ["PodSecurity"]
