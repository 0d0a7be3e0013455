"""The one path to the outside: slots, breaker, budget, call, classification, record."""
