"""Rights: who may do what, and until when.

- in which room: `access`, a pure table; the actor `doorkeeper` asks the gate where that can't tell
- until when: the actor `bearers` ends a connection in time with its token; the actor `warden` puts
  `revocations` in force
"""
