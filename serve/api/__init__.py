"""The HTTP API: OpenAI's chat, feedback and reviews, runs and versions, accounts, health."""
