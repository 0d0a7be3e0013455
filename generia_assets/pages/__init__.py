"""The worlds' pages: each world as the social network it is about, served while it grows and written as files when it is finished.

Here: templates, styles and scripts (no build step, nothing from elsewhere), the server (app.py, live.py) and the static site
(gallery.py), both made of the same pages (render.py). Texts of users and models are never markup: templates escape them,
and the pages allow no script but their own file. Not here: how documents are read (queries/), the command
(cli/commands/view.py).
"""
