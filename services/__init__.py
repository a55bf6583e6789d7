"""The processes: apiserver, controllers, and local, which starts them on one machine."""
