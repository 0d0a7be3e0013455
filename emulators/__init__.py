"""Emulators of external services, for development and tests: the Gemini API, the platform's services, the image stub.

Started as processes, or loaded by name (image_stub, the default of IMAGE_PROVIDER); imported by none of generia_assets/, resources/
and sensors/.
"""
