"""The processes: apiserver, watchfanout, controllers, and local, which starts them on one machine."""
