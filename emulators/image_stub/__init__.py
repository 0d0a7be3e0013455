"""An image generator that needs no API: it draws, with Pillow, in a few milliseconds.

Here: the generator (generator.py), and the parts of a picture (the files that it imports). The pictures follow the prompt's words,
are the same for the same order, and show the prompt's first words. Not here: the protocol (resources/images.py).
"""

from emulators.image_stub.generator import MIME, StubImageGenerator, paint

__all__ = ["MIME", "StubImageGenerator", "paint"]
