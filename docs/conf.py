"""How Sphinx builds the site; the command is in contributing.md."""

import sys
from pathlib import Path

import tinygrad_cnn

sys.path.insert(0, str(Path(__file__).parent))

project = "tinygrad_cnn"
author = "the authors of tinygrad_cnn"
version = release = tinygrad_cnn.__version__

extensions = [
    "myst_nb",
    "extensions.derivation",
    "extensions.offline_mathjax",
    "extensions.source_pages",
]
# What `tinygrad-cnn reproduce` writes is included by the pages of the documents.
exclude_patterns = ["_build", "reproduced/**"]

# Notebooks are shown with the results that are stored in them.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# The menu would load what is not there.
mathjax3_config = {"chtml": {"scale": 0.92}, "options": {"enableMenu": False}}
mathjax_path = "mathjax/tex-chtml.js"

html_theme = "furo"
html_title = "tinygrad_cnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
