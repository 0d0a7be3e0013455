"""Gemini through google-genai: client, answers, errors, models."""
