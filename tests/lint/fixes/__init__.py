"""The codemods: what they write, and what becomes of it when it runs."""
