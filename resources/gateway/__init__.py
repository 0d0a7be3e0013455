"""The one path of every call to an external API: limiter, breaker, budget, call, classification, record."""
