"""Stand-ins for the outside, for development and tests: the Gemini API, the image API, a MongoDB server, Kafka brokers.

Started as processes, or loaded by name (image_stub, the default of IMAGE_PROVIDER); imported by none of generia_assets/, resources/
and sensors/.
"""
