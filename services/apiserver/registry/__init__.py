"""The generic registry: one way to serve every kind; a Strategy says how a kind differs."""
