"""The Gemini emulator: an HTTP server that google-genai cannot distinguish from Google's. It is as strict, and has faults on
demand.

Here: the process (``python -m emulators.gemini``), its endpoints, faults, quotas and counts; ``api/`` is what Google's side checks
and answers, ``writing/`` is where the content comes from; ``client.py`` is how a test controls it. Not here: anything the product
imports. It meets the emulator only over HTTP, through the real SDK.
"""
