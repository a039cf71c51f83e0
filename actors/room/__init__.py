"""A room: the actor that orders what is said, and its parts.

- the actor, and what it understands: `room`, `messages`
- its people, and what they are told: `members`, `audience`, `batch`, `egress`
- its `history`: `durable` with its `pipeline`, or `ephemeral`
- what it remembers, and who gets that: `ring`, `paging`, `recovery`
"""
