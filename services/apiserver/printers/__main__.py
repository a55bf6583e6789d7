"""`python -m services.apiserver.printers` writes descriptions.json anew."""

from services.apiserver.printers.descriptions import write

write()
