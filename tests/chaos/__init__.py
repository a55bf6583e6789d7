"""The promises of docs/architecture.md, checked while parts of the system are killed and cut off.

history    what clients did and saw, as plain records
checker    the promises as functions over a history
workload   writers, readers and watchers that record
client     the HTTP client they use: it never repeats a request by itself
system     the processes under test, and relays between them that can be cut
faults     what goes wrong, and when: from a seed
run        all of it together: python -m tests.chaos.run -h
rolling    replicas restarted one after the other under many watchers
recovery   how long events pause when a part dies, and how late they are when none does
"""
