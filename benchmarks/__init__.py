"""What a scope costs, and whether other projects' own tests still pass beside it."""
