"""The Redis side. What has to be atomic is a Lua script, with its keys and arguments at its head.

`store` sends commands and scripts over a few pipelined connections (`link`); `subscriber` is the
one pub/sub connection of a node, and `questions` lets nodes ask each other through it. `directory`
looks at rooms from outside. `records` and `announcement` are what is in a journal and what is said
about it; `keys` names all keys and channels.
"""
