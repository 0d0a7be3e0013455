"""The messages and stubs of the platform's services: the ``.proto`` files and what ``make protos`` generates from them."""
