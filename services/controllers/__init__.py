"""The controllers an API server is missed without: an ordinary API client, one leader at a time.

client, resource, discovery   HTTP access to the API server, as any client has
informer, workqueue           level-triggered reconciling: cache, keys to look at, retries
leaderelection                who of several processes works
controller, manager           what a controller is, and the process that runs them
namespace, …                  the controllers, one module (or two) each
"""
