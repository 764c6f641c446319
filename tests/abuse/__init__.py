"""One hostile client harms nobody else: an attack for each way to try it, and what it did.

`trial` runs one attack against a node of its own. `bystanders` are the official clients that it
must not disturb; `offender` is the process of the attack, `wires` its connections, and `attacks`
and `fuzz` say what it sends.
"""
