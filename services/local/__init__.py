"""A whole system on one machine: starts the services as processes and keeps them together.

options      the flags of `kubefan up`
plan         which processes there are: a single API server and its controllers
replicated   the same for several: etcd, Redis, watchfanouts, HAProxy in front
balancer     HAProxy's configuration
secretfiles  certificates and passwords between these parts
programs     where etcd, Redis and HAProxy are installed
ports        where they listen
supervisor   starts, logs, restarts and stops processes; knows nothing of Kubernetes
readiness    when an API server answers
system       up: the order in which all this happens
"""
