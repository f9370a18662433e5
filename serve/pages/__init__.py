"""The pages people touch: chat, review, operate. The only place that speaks Gradio.

What Gradio reads from its environment is set here, because it reads it once, when it is imported.
"""

import os

# Without this Gradio asks api.gradio.app for its newest version and reports to huggingface.co.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Gradio summarises its own timings with pandas after every event, 5 ms each; nothing reads them here.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"

from serve.pages.frame import mount, snippet

__all__ = ["mount", "snippet"]
