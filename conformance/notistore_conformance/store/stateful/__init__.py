"""Random histories of calls, compared with a plain dict."""
