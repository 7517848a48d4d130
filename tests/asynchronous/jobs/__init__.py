"""Jobs of coroutines: phases, tries, contexts of their own."""
