"""The pages people touch: chat, review, operate. The only place that speaks Gradio.

What Gradio reads from its environment, and what it does when it is imported, is set here, before it is.
"""

import os

# Without this Gradio asks api.gradio.app for its newest version and reports to huggingface.co.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Gradio summarises its own timings with pandas after every event, 5 ms each; nothing reads them here.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"

from serve.pages.stubless import import_stubless

import_stubless()

from serve.pages.frame import mount, snippet

__all__ = ["mount", "snippet"]
