"""Custom resources: what a CustomResourceDefinition makes of the generic registry.

`structural` compiles a version's schema; `pruning`, `defaulting`, `schemavalidation`,
`listtypes` and `embedded` say what it means for an object; `codec`, `strategy`, `store`,
`printer` and `scale` are the generic registry's parts; `lifecycle` and `naming` are the
controllers that kube-apiserver runs in its own process; `registrar` follows the definitions
and serves what is established. The rules of the definition object itself are not in here.
"""
