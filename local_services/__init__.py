"""The whole generator on one machine: `generia demo` and `generia dev`, and the servers that they start. Not in production's image.

The product knows these modules by name only (the table of commands, `python -m`); the Gemini emulator is a process like others.
"""
