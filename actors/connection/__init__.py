"""A connection: the actor of one client, and its parts.

- the actor, and what it understands: `connection`, `messages`
- its socket: `websocket` (the handshake), `intake` with `frame_reader` and `window`, `outbox` with
  `frames` and `direct_socket`, `ending`
- its client: `dialogue`, `identity`, `liveness`, `meter`, `answering`
- that client in its rooms: `attendance`, `entrance`, `places`, `publishing`, `questions`
- what a room holds of it: `subscription` (the way to the outbox), `voice` (what has no answer yet)
"""
