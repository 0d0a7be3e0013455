"""An image generator that needs no API: it draws, with Pillow, in a few milliseconds.

Here: the generator (generator.py), what a picture is made of (painting.py and the files it names). The pictures are stand-ins
that one can look at: they follow the prompt's words, they are the same for the same order, and they say what was asked for.
Not here: the protocol it keeps (resources/images.py).
"""

from emulators.image_stub.generator import StubImageGenerator

__all__ = ["StubImageGenerator"]
