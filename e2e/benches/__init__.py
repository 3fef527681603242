"""One module for each benchmark; bench.py runs them."""
