"""Tests of the arithmetic behind the tables; the measurements themselves are not tests."""
