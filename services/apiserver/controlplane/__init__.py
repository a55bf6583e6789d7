"""What an API server keeps true of itself in the cluster, beside the requests."""
