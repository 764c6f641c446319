"""The Redis side. Each atomic operation is a Lua script; its head lists its keys and arguments.

`store` sends commands and scripts, and `commits` those of one room's commits, over a few pipelined
connections (`link`, `connection`); `scripts` loads the scripts. `subscriber` is the one pub/sub
connection of a node, and `questions` lets nodes query each other through it (`reply` is the address
of an answer). `channel` has the messages of a room's channel, `records` the contents of a journal,
`directory` the list of all rooms. `keys` names all keys and channels.
"""
