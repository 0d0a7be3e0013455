"""The API gateway, through which every call to an external API goes: limiter, breaker, budget, call, record."""
