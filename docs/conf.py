"""How Sphinx builds the documentation: `make docs`."""

from importlib.metadata import version as installed_version

project = "Evidence Courier"
copyright = "The Evidence Courier contributors"
release = version = installed_version("evidence-courier")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
