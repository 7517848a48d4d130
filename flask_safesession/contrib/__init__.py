"""Integrations with schedulers and queues: each is one room, needs its own extra, and knows no other."""
