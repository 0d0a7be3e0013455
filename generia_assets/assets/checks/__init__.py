"""Asset checks: what must be true of a finished world, looked up in MongoDB and on the disk, world by world.

Here: one module a subject (counts, links, texts, pictures), and how a check is made of a question (finding.py). A check that fails
names what is wrong, at most five of it, and how to ask for it again. Everything is read in a stream: a check of 10,000 posts takes
seconds and holds names and hashes, not documents. Not here: what is wrong with a single answer of a model; that is asked again at
once (content/drafts.py, tasks/).
"""

from generia_assets.assets.checks import counts, links, pictures, texts

ALL = (*counts.CHECKS, *links.CHECKS, *texts.CHECKS, *pictures.CHECKS)
CHECKS = [one.definition for one in ALL]
