"""Owns the measuring of afetch: memory, budget, frontier and speed, in one command (`python -m tests.benchmarks`)."""
