"""A whole system on one machine: starts the services as processes and keeps them together.

options     the flags of `kubefan up`
plan        which processes there are, with which arguments
supervisor  starts, logs and stops processes; knows nothing of Kubernetes
readiness   when the API server answers
system      up: the order in which all this happens
"""
