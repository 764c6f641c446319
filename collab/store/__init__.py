"""The Redis side. What has to be atomic is a Lua script, with its keys and arguments at its head.

`store` sends commands and scripts over a few pipelined connections (`link`); `scripts` loads what
it runs. `subscriber` is the one pub/sub connection of a node, and `questions` lets nodes ask each
other through it (`reply` says where an answer goes). `channel` has the messages of a room's
channel, `records` what is in a journal, `directory` the list of all rooms. `keys` names all keys
and channels.
"""
