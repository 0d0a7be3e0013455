"""Stand-ins for the outside, for development and tests: the Gemini API, a MongoDB server, Kafka brokers.

Started as processes; imported by none of generia_assets/, resources/ and sensors/.
"""
