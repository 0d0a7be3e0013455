"""An image generator that needs no API: it draws, with Pillow, in a few milliseconds.

Here: the generator (generator.py), what a picture is made of (the files it names). The pictures follow the prompt's words, they are
the same for the same order, and they say what was asked for. Not here: the protocol it keeps (resources/images.py).
"""

from emulators.image_stub.generator import MIME, StubImageGenerator, paint

__all__ = ["MIME", "StubImageGenerator", "paint"]
