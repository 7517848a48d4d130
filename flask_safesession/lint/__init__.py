"""Static rules for code that uses SQLAlchemy sessions; nothing of the checked code is imported or run."""
