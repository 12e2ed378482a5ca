"""The analysts' console: pages for people who review, over HTTP."""
