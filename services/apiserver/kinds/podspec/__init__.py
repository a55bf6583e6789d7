"""The rules of a pod's spec, by subject; shared by Pod and by everything with a pod template.

Validators are generators of causes in kube-apiserver's order: a valid object costs no lists.
They read decoded objects in canonical form (zero values left out) and change nothing; only
`defaults` and `prepare` change what they are given. No I/O.
"""
