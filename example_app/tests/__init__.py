"""Tests of the planner, written with the pytest plugin; the tutorial on tests shows them."""
