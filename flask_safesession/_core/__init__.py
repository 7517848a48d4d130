"""The part that knows SQLAlchemy and not Flask."""
