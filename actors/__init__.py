"""The cast of a node: its actors, and the parts that they are made of.

Start in `system`, which has the whole tree on one page, or in `connection`, where a client comes
in. What the cast asks of the world outside stands in `ports`; files, databases and command lines
are `node`'s. A module for each actor, and for each part of one:

- the tree: `system`; who stands in it once: `registry` (with `sessions` and `openers`), `archive`,
  `callbacks`, `doorkeeper`, `warden` (with `revocations`), `speaker`, `readiness`, `beats`,
  `bearers`
- a `connection`: its socket (`websocket`, `intake`, `frame_reader`, `frames`, `window`, `outbox`,
  `ending`), its client (`dialogue`, `identity`, `liveness`, `meter`, `answering`), and that client
  in its rooms (`attendance`, `entrance`, `places`, `publishing`, `voice`, `questions`,
  `subscription`)
- a `room`: its people (`members`, `audience`, `batch`, `egress`), its `history` (`durable` with its
  `pipeline`, or `ephemeral`), and what it remembers (`ring`, `paging`, `recovery`)
- the archive's: `backlog`, `reading`, `retention`, `watermarks`
- the callbacks': `callback_plan`, `callback_events`, `callback_feed`, `callback_lane`,
  `callback_courier`, `callback_ports`
- what several share: `services` and `cast`, `connection_messages` and `room_messages`, `access`
  (who may what), `budgets` and `rates`, `ledger`, `roll`, `health`, `tracebacks`
"""
