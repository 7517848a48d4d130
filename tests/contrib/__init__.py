"""Integrations against real brokers, with real workers in processes of their own."""
