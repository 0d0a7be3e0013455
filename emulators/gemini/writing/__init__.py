"""The content of answers: a walker over the request's JSON schema writes readable English, Russian, Hebrew, Arabic, Japanese or
Hindi.

Here: reading the prompt (scene), people and their names, sentences from hand-written templates (``words/``), the walker. Not here:
HTTP, faults, or how an answer is damaged.
"""
