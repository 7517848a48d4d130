"""Tests of the example app, on real databases."""
