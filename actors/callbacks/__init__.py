"""Callbacks: the actor that tells an HTTP receiver what happens, and its parts.

- the actor: `callbacks`; its bounds and its state: `plan`
- how it hears of anything: `feed`; what it tells: `events`
- one room's queue: `lane`; one request: `courier`; what it asks of the world outside: `ports`
"""
